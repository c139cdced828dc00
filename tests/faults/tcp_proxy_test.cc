#include "tests/faults/tcp_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "tests/faults/proxy_command.h"

namespace sluice::faults {
namespace {

using std::chrono::steady_clock;
using testing::HasSubstr;

// Nothing here may hang: every blocking call ends with EAGAIN after this.
void BoundCalls(int fd) {
  const timeval limit{20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// errno in `error` where it fails.
UniqueFd Dial(uint16_t port, int* error = nullptr) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  BoundCalls(fd.get());
  const sockaddr_in address = Loopback(port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (error != nullptr) *error = errno;
    return UniqueFd();
  }
  return fd;
}

bool SendAll(int fd, const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<size_t>(n);
  }
  return true;
}

struct Received {
  std::string bytes;
  int error = 0;   // errno at the end; 0: the end of the stream, or `size` bytes came
};

// At most `size` bytes, until the end.
Received Receive(int fd, size_t size) {
  Received received;
  char block[65536];
  while (received.bytes.size() < size) {
    const ssize_t n = recv(fd, block, std::min(sizeof(block), size - received.bytes.size()), 0);
    if (n < 0) received.error = errno;
    if (n <= 0) break;
    received.bytes.append(block, static_cast<size_t>(n));
  }
  return received;
}

constexpr size_t kAll = SIZE_MAX;

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 2654435761u) >> 13);
  return bytes;
}

class TcpProxyTest : public testing::Test {
 protected:
  TcpProxyTest() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    BoundCalls(listener_.get());
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_.get(), 16), 0);
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    target_port_ = ntohs(address.sin_port);
  }

  void Start(int64_t delay_ms = 0) {
    ProxyOptions options;
    options.to = "127.0.0.1:" + std::to_string(target_port_);
    options.delay_ms = delay_ms;
    auto proxy = TcpProxy::Start(options);
    ASSERT_TRUE(proxy.ok()) << proxy.status();
    proxy_ = *std::move(proxy);
  }
  UniqueFd Accept() {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(fd);
    BoundCalls(fd.get());
    return fd;
  }
  // A connection through the proxy.
  void Connect() {
    client_ = Dial(proxy_->port());
    ASSERT_TRUE(client_);
    server_ = Accept();
    ASSERT_TRUE(server_);
  }
  void ExpectWorks() {
    ASSERT_TRUE(SendAll(client_.get(), "ping"));
    EXPECT_EQ(Receive(server_.get(), 4).bytes, "ping");
    ASSERT_TRUE(SendAll(server_.get(), "pong"));
    EXPECT_EQ(Receive(client_.get(), 4).bytes, "pong");
  }
  static bool NothingThere(int fd) {
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
  }

  UniqueFd listener_;
  uint16_t target_port_ = 0;
  std::unique_ptr<TcpProxy> proxy_;
  UniqueFd client_, server_;
};

TEST_F(TcpProxyTest, PassesBytesAndTheEndOfEachSide) {
  Start();
  Connect();
  ExpectWorks();
  const std::string bytes = Pattern(3 << 20);
  std::thread sender([&] {
    SendAll(client_.get(), bytes);
    shutdown(client_.get(), SHUT_WR);
  });
  const auto up = Receive(server_.get(), kAll);
  sender.join();
  EXPECT_EQ(up.error, 0);
  EXPECT_TRUE(up.bytes == bytes);
  // The other direction is still open.
  ASSERT_TRUE(SendAll(server_.get(), "answer"));
  server_.Reset();
  const auto down = Receive(client_.get(), kAll);
  EXPECT_EQ(down.bytes, "answer");
  EXPECT_EQ(down.error, 0);
  EXPECT_EQ(proxy_->figures().up_bytes, bytes.size() + 4);
  EXPECT_EQ(proxy_->figures().down_bytes, 10u);
}

TEST_F(TcpProxyTest, DelaysWithoutThrottling) {
  constexpr auto kDelay = std::chrono::milliseconds(100);
  Start(kDelay.count());
  Connect();
  auto before = steady_clock::now();
  ExpectWorks();
  EXPECT_GE(steady_clock::now() - before, 2 * kDelay);

  // 16 MiB are 256 chunks of 64 KiB: a sleep for each would take 25 s.
  const std::string bytes = Pattern(16 << 20);
  before = steady_clock::now();
  std::thread sender([&] { SendAll(client_.get(), bytes); });
  const auto got = Receive(server_.get(), bytes.size());
  sender.join();
  EXPECT_TRUE(got.bytes == bytes);
  EXPECT_GE(steady_clock::now() - before, kDelay);
  EXPECT_LT(steady_clock::now() - before, std::chrono::seconds(5));
}

TEST_F(TcpProxyTest, TheEndOfAStreamIsDelayedToo) {
  Start(50);
  Connect();
  const auto before = steady_clock::now();
  shutdown(client_.get(), SHUT_WR);
  EXPECT_EQ(Receive(server_.get(), kAll).error, 0);
  EXPECT_GE(steady_clock::now() - before, std::chrono::milliseconds(50));
}

TEST_F(TcpProxyTest, RefusesNewConnectionsOnly) {
  Start();
  Connect();
  const uint16_t port = proxy_->port();
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(proxy_->Refuse().ok());
    int error = 0;
    EXPECT_FALSE(Dial(port, &error));
    EXPECT_EQ(error, ECONNREFUSED);
    ExpectWorks();
    ASSERT_TRUE(proxy_->Resume().ok());
    EXPECT_EQ(proxy_->port(), port);
    const UniqueFd another = Dial(port);
    EXPECT_TRUE(another);
    Accept();
  }
}

TEST_F(TcpProxyTest, ResetsBothSides) {
  Start();
  Connect();
  ExpectWorks();
  proxy_->ResetAll();
  EXPECT_EQ(Receive(client_.get(), kAll).error, ECONNRESET);
  EXPECT_EQ(Receive(server_.get(), kAll).error, ECONNRESET);
  EXPECT_EQ(proxy_->figures().open, 0u);
  Connect();
  ExpectWorks();
}

TEST_F(TcpProxyTest, StallsAndLosesNothing) {
  Start();
  Connect();
  ExpectWorks();
  proxy_->Stall();
  const ProxyFigures before = proxy_->figures();
  // The kernels' buffers fill until a send blocks.
  const std::string bytes = Pattern(64 << 20);
  size_t sent = 0;
  pollfd writable{client_.get(), POLLOUT, 0};
  while (poll(&writable, 1, 100) == 1) {
    const ssize_t n = send(client_.get(), bytes.data() + sent, std::min<size_t>(65536, bytes.size() - sent), MSG_DONTWAIT);
    ASSERT_GT(n, 0);
    sent += static_cast<size_t>(n);
    ASSERT_LT(sent, bytes.size()) << "somebody reads";
  }
  EXPECT_EQ(proxy_->figures().up_bytes, before.up_bytes);
  EXPECT_TRUE(NothingThere(server_.get()));
  // A new connection is silent too.
  const UniqueFd second = Dial(proxy_->port());
  const UniqueFd second_server = Accept();
  ASSERT_TRUE(SendAll(second.get(), "later"));
  EXPECT_TRUE(NothingThere(second_server.get()));

  ASSERT_TRUE(proxy_->Resume().ok());
  EXPECT_TRUE(Receive(server_.get(), sent).bytes == bytes.substr(0, sent));
  EXPECT_EQ(Receive(second_server.get(), 5).bytes, "later");
}

TEST_F(TcpProxyTest, HalfOpenSwallowsInSilence) {
  Start();
  Connect();
  ExpectWorks();
  proxy_->HalfOpen();
  const std::string bytes = Pattern(1 << 20);
  ASSERT_TRUE(SendAll(client_.get(), bytes)) << "the sender notices nothing";
  while (proxy_->figures().swallowed_bytes < bytes.size()) std::this_thread::yield();
  EXPECT_TRUE(NothingThere(server_.get()));
  server_.Reset();   // the far side dies, and nobody is told
  ASSERT_TRUE(SendAll(client_.get(), "?"));
  while (proxy_->figures().swallowed_bytes < bytes.size() + 1) std::this_thread::yield();
  EXPECT_TRUE(NothingThere(client_.get()));

  ASSERT_TRUE(proxy_->Resume().ok());
  EXPECT_EQ(Receive(client_.get(), kAll).error, ECONNRESET) << "bytes are missing: it cannot go on";
  Connect();
  ExpectWorks();
}

TEST_F(TcpProxyTest, CutsAfterExactlySoManyBytes) {
  for (const int64_t delay_ms : {0, 20}) {
    Start(delay_ms);
    Connect();
    ExpectWorks();
    constexpr size_t kCut = 100'001;
    proxy_->CutAfter(kCut, Direction::kUp);
    const std::string bytes = Pattern(1 << 20);
    std::thread sender([&] { SendAll(client_.get(), bytes); });
    const auto got = Receive(server_.get(), kAll);
    sender.join();
    EXPECT_EQ(got.error, ECONNRESET);
    EXPECT_TRUE(got.bytes == bytes.substr(0, kCut)) << got.bytes.size();
    EXPECT_EQ(Receive(client_.get(), kAll).error, ECONNRESET);
    EXPECT_EQ(proxy_->figures().cuts, 1u);
    Connect();   // once only
    ExpectWorks();
  }
}

TEST_F(TcpProxyTest, CutsTheWayBackAfterTheRequestArrived) {
  Start();
  Connect();
  proxy_->CutAfter(0, Direction::kDown);
  ASSERT_TRUE(SendAll(client_.get(), "commit"));
  EXPECT_EQ(Receive(server_.get(), 6).bytes, "commit");
  ASSERT_TRUE(SendAll(server_.get(), "ack"));
  const auto got = Receive(client_.get(), kAll);
  EXPECT_EQ(got.bytes, "") << "committed, and the ack is lost";
  EXPECT_EQ(got.error, ECONNRESET);
}

TEST_F(TcpProxyTest, ATargetThatIsNotThereIsAReset) {
  listener_.Reset();
  Start();
  const UniqueFd client = Dial(proxy_->port());
  ASSERT_TRUE(client);
  EXPECT_EQ(Receive(client.get(), kAll).error, ECONNRESET);
}

TEST_F(TcpProxyTest, TakesCommandsAsJson) {
  Start();
  Connect();
  const auto run = [&](const std::string& line) { return nlohmann::json::parse(RunProxyCommand(*proxy_, line)); };
  EXPECT_EQ(run("{}")["open"], 1);
  for (const char* line : {R"({"fault":"stall"})", R"({"fault":"half_open"})", R"({"fault":"refuse"})",
                           R"({"fault":"cut","bytes":10,"direction":"up"})", R"({"fault":"delay","ms":5})",
                           R"({"fault":"resume"})", R"({"fault":"reset"})"}) {
    EXPECT_EQ(run(line)["ok"], true) << line;
  }
  EXPECT_EQ(run("{}")["open"], 0);
  for (const char* line : {"", "nonsense", "[]", R"({"fault":3})", R"({"fault":"explode"})", R"({"fault":"cut"})",
                           R"({"fault":"cut","bytes":-1})", R"({"fault":"cut","bytes":1,"direction":[]})"}) {
    EXPECT_EQ(run(line)["ok"], false) << line;
    EXPECT_THAT(run(line)["error"].get<std::string>(), testing::Not(testing::IsEmpty())) << line;
  }
}

TEST(TcpProxyStartTest, SaysWhatIsWrong) {
  for (const auto& [listen, to] : {std::pair<std::string, std::string>{"127.0.0.1:0", "nowhere"},
                                   {"127.0.0.1:0", "127.0.0.1:"},
                                   {"nonsense", "127.0.0.1:1"},
                                   {"192.0.2.1:0", "127.0.0.1:1"}}) {
    ProxyOptions options;
    options.listen = listen;
    options.to = to;
    EXPECT_FALSE(TcpProxy::Start(options).ok()) << listen << " " << to;
  }
}

}  // namespace
}  // namespace sluice::faults
