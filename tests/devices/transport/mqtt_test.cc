#include "devices/transport/mqtt.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::transport {
namespace {

using ::testing::HasSubstr;

MqttOptions Options(const std::string& url) {
  MqttOptions options;
  options.url = url;
  options.client_id = "gateway-1";
  options.filters = {"sluice/v1/+/+"};
  return options;
}

TEST(MqttOptionsTest, UrlsAreTakenApart) {
  EXPECT_EQ(ParseMqttUrl("mqtt://localhost")->port, 1883);
  EXPECT_EQ(ParseMqttUrl("mqtts://broker.shop.example:8884/")->port, 8884);
  EXPECT_TRUE(ParseMqttUrl("mqtts://broker")->tls);
  EXPECT_EQ(ParseMqttUrl("mqtt://[::1]:99")->host, "::1");
  for (const char* bad : {"", "localhost:1883", "http://x", "mqtt://", "mqtt://x:0", "mqtt://x:65536", "mqtt://x:", "mqtt://x:1x",
                          "mqtt://a b", "mqtt://user@x", "mqtt://[::1", "mqtt://[zz]", "mqtt://x/y"}) {
    EXPECT_FALSE(ParseMqttUrl(bad).ok()) << bad;
  }
}

TEST(MqttOptionsTest, PlainTcpOnlyToThisMachine) {
  EXPECT_TRUE(CheckMqttOptions(Options("mqtt://127.0.0.1")).ok());
  EXPECT_TRUE(CheckMqttOptions(Options("mqtt://[::1]")).ok());
  EXPECT_TRUE(CheckMqttOptions(Options("mqtt://localhost")).ok());
  EXPECT_THAT(std::string(CheckMqttOptions(Options("mqtt://10.0.0.5")).message()), HasSubstr("allow_plaintext"));
  EXPECT_FALSE(CheckMqttOptions(Options("mqtt://localhost.evil.example")).ok());
  MqttOptions allowed = Options("mqtt://10.0.0.5");
  allowed.allow_plaintext = true;
  EXPECT_TRUE(CheckMqttOptions(allowed).ok());
  EXPECT_TRUE(CheckMqttOptions(Options("mqtts://10.0.0.5")).ok());
}

TEST(MqttOptionsTest, WhatCanNeverWorkIsNamed) {
  MqttOptions options = Options("mqtt://localhost");
  options.client_id = "";
  EXPECT_THAT(std::string(CheckMqttOptions(options).message()), HasSubstr("client_id"));
  options = Options("mqtt://localhost");
  options.password_file = "/x";
  EXPECT_THAT(std::string(CheckMqttOptions(options).message()), HasSubstr("username"));
  options = Options("mqtts://localhost");
  options.key_file = "/x";
  EXPECT_THAT(std::string(CheckMqttOptions(options).message()), HasSubstr("certificate_file"));
  options = Options("mqtt://localhost");
  options.ca_file = "/x";
  EXPECT_THAT(std::string(CheckMqttOptions(options).message()), HasSubstr("only allowed with mqtts"));
}

// Listens on loopback and serves one connection after the other, packet by packet.
class FakeBroker {
 public:
  FakeBroker() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  uint16_t port() const { return port_; }

 protected:
  // `type` as in MQTT 2.1.2. False: close the connection.
  virtual bool OnPacket(int fd, int type, const std::string& packet) = 0;
  static void Send(int fd, std::string_view bytes) { (void)!send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL); }

  // For the derived class's constructor and destructor.
  void Serve() {
    thread_ = std::thread([this] {
      for (;;) {
        const UniqueFd fd(accept(listener_.get(), nullptr, nullptr));
        if (!fd) return;
        for (std::string packet = Packet(fd.get()); !packet.empty(); packet = Packet(fd.get())) {
          if (!OnPacket(fd.get(), static_cast<unsigned char>(packet[0]) >> 4, packet)) break;
        }
      }
    });
  }
  void Close() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  ~FakeBroker() = default;

 private:
  // One packet: its first byte and its body; empty at the end. Remaining length below 128 only (2.2.3).
  static std::string Packet(int fd) {
    unsigned char head[2];
    if (recv(fd, head, 2, MSG_WAITALL) != 2) return "";
    std::string packet(1, static_cast<char>(head[0]));
    std::string body(head[1], '\0');
    if (!body.empty() && recv(fd, body.data(), body.size(), MSG_WAITALL) != static_cast<ssize_t>(body.size())) return "";
    return packet + body;
  }

  const UniqueFd listener_;
  uint16_t port_ = 0;
  std::thread thread_;
};

// A broker of the year 2015: knows 3.1.1 and nothing newer, takes a subscription and sends one message.
class OldBroker final : public FakeBroker {
 public:
  enum class Refusal { kReturnCode, kSilence };
  explicit OldBroker(Refusal refusal) : refusal_(refusal) { Serve(); }
  ~OldBroker() { Close(); }

 private:
  bool OnPacket(int fd, int type, const std::string& packet) override {
    switch (type) {
      case 1:   // CONNECT: byte 7 of the variable header is the level (3.1.2.2)
        if (packet[7] != 4) {
          if (refusal_ == Refusal::kReturnCode) Send(fd, std::string_view("\x20\x02\x00\x01", 4));
          return false;
        }
        Send(fd, std::string_view("\x20\x02\x00\x00", 4));
        return true;
      case 8:   // SUBSCRIBE → SUBACK with QoS 1, then a PUBLISH at QoS 1
        Send(fd, std::string_view("\x90\x03", 2));
        Send(fd, packet.substr(1, 2) + '\x01');
        Send(fd, std::string_view("\x32\x09\x00\x03" "a/b" "\x00\x07" "hi", 11));
        return true;
      case 12: Send(fd, std::string_view("\xd0\x00", 2)); return true;
      default: return type != 14;
    }
  }

  const Refusal refusal_;
};

// Speaks 3.1.1. The first connection is subscribed and lost; then the session is forgotten, and the second connection is
// lost before its subscription arrived: the session that it began is there for the third, without a subscription.
class ForgetfulBroker final : public FakeBroker {
 public:
  ForgetfulBroker() { Serve(); }
  ~ForgetfulBroker() { Close(); }
  bool AwaitSubscribed() {
    std::unique_lock lock(mu_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [this] { return subscribed_; });
  }

 private:
  bool OnPacket(int fd, int type, const std::string& packet) override {
    if (type == 1) {
      ++connection_;
      Send(fd, std::string_view(connection_ < 3 ? "\x20\x02\x00\x00" : "\x20\x02\x01\x00", 4));
      return true;
    }
    if (type == 12) Send(fd, std::string_view("\xd0\x00", 2));
    if (type != 8) return type != 14;
    if (connection_ == 2) return false;
    Send(fd, std::string_view("\x90\x03", 2));
    Send(fd, packet.substr(1, 2) + '\x01');
    if (connection_ == 1) return false;
    const std::lock_guard lock(mu_);
    subscribed_ = true;
    changed_.notify_all();
    return true;
  }

  int connection_ = 0;   // the server thread's
  std::mutex mu_;
  std::condition_variable changed_;
  bool subscribed_ = false;
};

class FallBackTest : public ::testing::TestWithParam<OldBroker::Refusal> {};
INSTANTIATE_TEST_SUITE_P(Refusals, FallBackTest, ::testing::Values(OldBroker::Refusal::kReturnCode, OldBroker::Refusal::kSilence),
                         [](const auto& param) { return param.param == OldBroker::Refusal::kReturnCode ? "ReturnCode" : "Silence"; });

TEST_P(FallBackTest, ABrokerThatRefusesMqtt5IsSpokenToIn311) {
  OldBroker broker(GetParam());
  MqttOptions options = Options("mqtt://127.0.0.1:" + std::to_string(broker.port()));
  options.backoff = {.base_ms = 20, .factor = 2, .cap_ms = 100};
  std::mutex mu;
  std::condition_variable changed;
  std::string got;
  auto client = MakeMqttClient(options, {.on_message = [&](const MqttMessage& message) {
                                 std::lock_guard lock(mu);
                                 got = message.payload;
                                 changed.notify_all();
                                 return MqttTaken::kTaken;
                               },
                               .on_connected = {},
                               .on_published = {}});
  ASSERT_TRUE(client->Start().ok());
  {
    std::unique_lock lock(mu);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return got == "hi"; })) << client->status().detail;
  }
  for (int i = 0; i < 500 && client->status().state != MqttStatus::State::kConnected; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(client->status().version, 4);
  EXPECT_THAT(client->status().detail, HasSubstr("MQTT 3.1.1"));
  client->Stop();
}

TEST(MqttClientTest, SubscribesInASessionThatBeganWithoutASubscription) {
  ForgetfulBroker broker;
  MqttOptions options = Options("mqtt://127.0.0.1:" + std::to_string(broker.port()));
  options.version = MqttVersion::k311;
  options.filters = {"a/+"};
  options.backoff = {.base_ms = 20, .factor = 2, .cap_ms = 100};
  auto client = MakeMqttClient(options, {.on_message = [](const MqttMessage&) { return MqttTaken::kTaken; },
                                         .on_connected = {},
                                         .on_published = {}});
  ASSERT_TRUE(client->Start().ok());
  EXPECT_TRUE(broker.AwaitSubscribed()) << "connected and deaf: " << client->status().detail;
  client->Stop();
}

TEST(MqttClientTest, StopsAtOnceWhileNobodyAnswers) {
  // A port where the connection is taken and nothing is ever said.
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  auto client = MakeMqttClient(Options("mqtt://127.0.0.1:" + std::to_string(ntohs(address.sin_port))),
                               {.on_message = [](const MqttMessage&) { return MqttTaken::kTaken; }, .on_connected = {}, .on_published = {}});
  ASSERT_TRUE(client->Start().ok());
  EXPECT_EQ(client->Publish("a", "b", 1, false).code(), absl::StatusCode::kUnavailable);
  const auto begin = std::chrono::steady_clock::now();
  client->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
  EXPECT_EQ(client->status().state, MqttStatus::State::kClosed);
}

}  // namespace
}  // namespace sluice::transport
