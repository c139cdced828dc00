// The whole simulator in this process against a real broker and a gateway that loses and refuses messages.
#include "devices/sim/fleet.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <mosquitto.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "tests/devices/sim/fake_gateway.h"
#include "tests/judge/readers.h"

extern char** environ;

namespace sluice::sim {
namespace {

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

class Broker {
 public:
  Broker(const std::string& folder, int port) {
    const std::string path = folder + "/broker.conf";
    std::ofstream(path) << "listener " << port << " 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 200\n";
    for (const char* program : {"/usr/sbin/mosquitto", "/usr/bin/mosquitto"}) {
      if (!std::filesystem::exists(program)) continue;
      const char* arguments[] = {program, "-c", path.c_str(), nullptr};
      if (posix_spawn(&pid_, program, nullptr, nullptr, const_cast<char**>(arguments), environ) == 0) return;
    }
    pid_ = -1;
  }
  ~Broker() { Stop(); }
  void Stop(int signal = SIGTERM) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  bool running() const { return pid_ > 0; }

 private:
  pid_t pid_ = -1;
};

class FleetTest : public testing::Test {
 protected:
  FleetTest() {
    mosquitto_lib_init();
    std::string pattern = (std::filesystem::temp_directory_path() / "sim-fleet-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    options_.server.port = FreePort();
    options_.ledger = folder_ + "/ledger.tsv";
    options_.device.resend_after_us = 300'000;
    options_.wait_receipts_s = 20;
  }
  ~FleetTest() override { std::filesystem::remove_all(folder_); }

  void Run() {
    Fleet fleet(options_);
    ASSERT_TRUE(fleet.Prepare().ok());
    ASSERT_TRUE(fleet.Run(stop_).ok());
    counters_ = fleet.counters();
    open_ = fleet.OpenCount();
  }

  // The first S line of the ledger for a number that an R line before it names; empty if there is none. On a loaded machine
  // a device may well lose its patience and send again what the gateway has, but nothing that it was told of.
  std::string SentAfterItsReceipt() {
    std::map<std::string, std::set<uint64_t>> named;
    std::ifstream ledger(options_.ledger);
    for (std::string line; std::getline(ledger, line);) {
      std::istringstream columns(line);
      std::string what, device, boot, rest;
      columns >> what >> device >> boot >> rest;
      if (what == "S" && named[device + boot].contains(std::stoull(rest))) return line;
      if (what != "R") continue;
      std::replace(rest.begin(), rest.end(), ',', ' ');
      std::istringstream ranges(rest);
      uint64_t first = 0, last = 0;
      for (char dash = 0; ranges >> first >> dash >> last;) {
        for (uint64_t seq = first; seq <= last; ++seq) named[device + boot].insert(seq);
      }
    }
    return "";
  }
  // Until the ledger has that many sendings that reached nobody.
  void AwaitUnheard(int count) {
    for (int seen = 0; seen < count;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      seen = 0;
      std::ifstream ledger(options_.ledger);
      for (std::string line; std::getline(ledger, line);) seen += line.starts_with("N\t");
    }
  }
  // As if the cloud had applied each event when the gateway first heard it.
  judge::Verdict JudgeArrivals(FakeGateway& gateway) {
    judge::Tally tally;
    std::string error;
    EXPECT_TRUE(judge::ReadLedger(options_.ledger, tally, error)) << error;
    for (const auto& [device, seen] : gateway.seen()) {
      int64_t position = 0;
      std::set<uint64_t> applied;
      for (const uint64_t seq : seen.arrivals) {
        if (!applied.insert(seq).second) continue;
        const judge::Kind kind = judge::KindOf(seen.kinds.at(seq));
        tally.Effect(device, options_.device.boot, seq, kind, judge::QueueOf(kind), ++position);
      }
    }
    return tally.Judge(10);
  }

  std::string folder_;
  Options options_;
  Counters counters_;
  size_t open_ = 0;
  volatile std::sig_atomic_t stop_ = 0;
};

TEST_F(FleetTest, EveryEventGetsItsReceiptThroughALossyGateway) {
  Broker broker(folder_, options_.server.port);
  if (!broker.running()) GTEST_SKIP() << "no mosquitto here";
  FakeGateway gateway(options_.server.port);
  // Each 50th number is not heard the first time: the rest must come, and then it alone again.
  gateway.deaf = [](const std::string&, uint64_t seq, int time) { return seq % 50 == 0 && time == 1; };
  gateway.refuse = [](const std::string& device, uint64_t seq) { return device == "vm-0001" && seq == 3; };
  options_.vending = options_.sensors = options_.terminals = 2;
  options_.events = 1200;
  Run();
  EXPECT_EQ(open_, 0u);
  EXPECT_EQ(counters_.produced, 1200u);
  EXPECT_EQ(counters_.receipted, 1199u);
  EXPECT_EQ(counters_.refused, 1u);
  // The wills follow the last events through the broker.
  for (int i = 0; i < 500 && !gateway.AllOffline(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  uint64_t total = 0;
  uint64_t again = 0;
  for (const auto& [device, seen] : gateway.seen()) {
    total += seen.taken.size();
    EXPECT_TRUE(seen.offline) << device << " went without its will";
    for (const auto& [seq, times] : seen.times) again += static_cast<uint64_t>(times - 1);
  }
  EXPECT_EQ(total, 1199u);
  EXPECT_GT(again, 0u);
  EXPECT_EQ(counters_.resent, again);
  EXPECT_EQ(SentAfterItsReceipt(), "");

  judge::Tally tally;
  std::string error;
  ASSERT_TRUE(judge::ReadLedger(options_.ledger, tally, error)) << error;
  const judge::Verdict verdict = tally.Judge(10);
  EXPECT_EQ(verdict.devices, 6u);
  EXPECT_EQ(verdict.accepted, 1199u);
  EXPECT_EQ(verdict.refused, 1u);
  EXPECT_EQ(verdict.sent, 1200u);
  EXPECT_EQ(verdict.named_unsent, 0u);
  EXPECT_EQ(verdict.torn_lines, 0u);
}

TEST_F(FleetTest, ABrokerThatDiesAndReturnsCostsNothing) {
  auto broker = std::make_unique<Broker>(folder_, options_.server.port);
  if (!broker->running()) GTEST_SKIP() << "no mosquitto here";
  auto gateway = std::make_unique<FakeGateway>(options_.server.port);
  gateway->deaf = [](const std::string&, uint64_t seq, int) { return seq > 40; };
  options_.vending = 3;
  options_.events = 300;
  std::thread run([this] { Run(); });
  for (bool stuck = false; !stuck;) {  // until each device has sent what the gateway does not hear
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const auto seen = gateway->seen();
    stuck = seen.size() == 3;
    for (const auto& [device, one] : seen) stuck = stuck && one.times.size() > 40;
  }
  gateway.reset();
  broker->Stop();
  broker = std::make_unique<Broker>(folder_, options_.server.port);
  gateway = std::make_unique<FakeGateway>(options_.server.port);
  run.join();
  EXPECT_EQ(open_, 0u);
  EXPECT_EQ(counters_.receipted, 300u);
  EXPECT_GE(counters_.disconnects, 3u);
  for (const auto& [device, seen] : gateway->seen()) {
    ASSERT_FALSE(seen.arrivals.empty());
    EXPECT_EQ(seen.arrivals.front(), *seen.taken.begin());
    EXPECT_TRUE(std::is_sorted(seen.arrivals.begin(), seen.arrivals.end())) << device;
  }
}

TEST_F(FleetTest, SendsNothingPastWhatNobodyHeard) {
  Broker broker(folder_, options_.server.port);
  if (!broker.running()) GTEST_SKIP() << "no mosquitto here";
  options_.vending = options_.sensors = 2;
  options_.rate = 1000;
  options_.events = 1000;
  options_.device.boot = 7;
  std::thread run([this] { Run(); });
  AwaitUnheard(8);
  FakeGateway gateway(options_.server.port);   // in the middle of it
  run.join();
  EXPECT_EQ(open_, 0u);
  EXPECT_GE(counters_.unheard, 8u);
  EXPECT_LT(counters_.resent, 100u) << "who knows that nobody listens need not say everything";
  for (const auto& [device, seen] : gateway.seen()) {
    ASSERT_FALSE(seen.arrivals.empty());
    EXPECT_EQ(seen.arrivals.front(), 1u) << device;
    EXPECT_TRUE(std::is_sorted(seen.arrivals.begin(), seen.arrivals.end())) << device;
  }
  const judge::Verdict verdict = JudgeArrivals(gateway);
  EXPECT_EQ(verdict.accepted, 1000u);
  EXPECT_EQ(verdict.order_breaks, 0u);
  EXPECT_EQ(verdict.late, 0u);
}

TEST_F(FleetTest, AHastyDevicesLostNumbersComeLate) {
  Broker broker(folder_, options_.server.port);
  if (!broker.running()) GTEST_SKIP() << "no mosquitto here";
  options_.vending = options_.sensors = 2;
  options_.rate = 1000;
  options_.events = 1000;
  options_.device.boot = 7;
  options_.device.hasty = true;
  std::thread run([this] { Run(); });
  AwaitUnheard(100);
  FakeGateway gateway(options_.server.port);
  run.join();
  EXPECT_EQ(open_, 0u);
  for (const auto& [device, seen] : gateway.seen()) EXPECT_GT(seen.arrivals.front(), 1u) << device;
  const judge::Verdict verdict = JudgeArrivals(gateway);
  EXPECT_EQ(verdict.accepted, 1000u);
  EXPECT_EQ(verdict.applied, 1000u);
  EXPECT_EQ(verdict.order_breaks, 0u);
  EXPECT_GE(verdict.late, 100u - 8u);   // the first of a queue can also come in its order
}

// A broker stands in for the gateway's listener: it keeps nothing over a SIGKILL, as a listener whose sessions are in memory.
TEST_F(FleetTest, WhoTrustsPubackSendsAgainWhatHasNone) {
  auto broker = std::make_unique<Broker>(folder_, options_.server.port);
  if (!broker->running()) GTEST_SKIP() << "no mosquitto here";
  options_.server.version = MqttVersion::k311;  // 5.0 would say that nobody is subscribed
  options_.server.listener = options_.server.resume = options_.server.dup_always = true;
  options_.device.receipts = options_.server.receipts = false;
  options_.state = folder_ + "/state";
  options_.vending = options_.terminals = 2;
  options_.events = 200'000;
  std::thread run([this] { Run(); });
  const auto pubacks = [this] {
    std::ifstream ledger(options_.ledger);
    return std::count(std::istreambuf_iterator<char>(ledger), {}, 'P');
  };
  while (pubacks() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  broker->Stop(SIGKILL);
  broker = std::make_unique<Broker>(folder_, options_.server.port);
  run.join();
  EXPECT_EQ(open_, 0u);
  EXPECT_GE(counters_.disconnects, 4u);
  EXPECT_GT(counters_.dup, 0u);
  EXPECT_EQ(counters_.receipts, 0u);
  judge::Tally tally;
  std::string error;
  ASSERT_TRUE(judge::ReadLedger(options_.ledger, tally, error)) << error;
  const judge::Verdict verdict = tally.Judge(10);
  EXPECT_EQ(verdict.sent, 200'000u);
  EXPECT_EQ(verdict.accepted, 200'000u) << "the ledger calls them devices of the listener";
  // What PUBACK closed is not open in the next life.
  options_.events = 4;
  options_.vending = options_.terminals = 1;
  Run();
  EXPECT_EQ(counters_.sent, 4u);
}

TEST_F(FleetTest, OpenEventsOutliveTheSimulator) {
  Broker broker(folder_, options_.server.port);
  if (!broker.running()) GTEST_SKIP() << "no mosquitto here";
  FakeGateway gateway(options_.server.port);
  std::atomic<bool> deaf = true;
  gateway.deaf = [&deaf](const std::string&, uint64_t, int) { return deaf.load(); };
  options_.vending = 1;
  options_.events = 5;
  options_.state = folder_ + "/state";
  options_.device.boot = 41;
  options_.wait_receipts_s = 0.2;
  Run();
  EXPECT_EQ(open_, 5u);
  deaf = false;
  options_.device.boot = 0;  // one above the state's
  options_.events = 3;
  options_.wait_receipts_s = 20;
  Run();
  EXPECT_EQ(open_, 0u);
  EXPECT_EQ(counters_.receipted, 8u);
  judge::Tally tally;
  std::string error;
  ASSERT_TRUE(judge::ReadLedger(options_.ledger, tally, error)) << error;
  EXPECT_EQ(tally.Judge(10).accepted, 8u);
}

TEST_F(FleetTest, SpeaksLinesOnAPty) {
  options_.serial = 1;
  options_.serial_dir = folder_;
  options_.ledger.clear();
  options_.events = 20;
  std::thread run([this] { Run(); });
  const std::string port = folder_ + "/serial-0001";
  int fd = -1;
  while ((fd = open(port.c_str(), O_RDWR | O_NOCTTY)) < 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::string text;
  std::set<uint64_t> taken;
  while (taken.size() < 20) {
    char chunk[512];
    const ssize_t count = read(fd, chunk, sizeof chunk);
    ASSERT_GT(count, 0);
    text.append(chunk, static_cast<size_t>(count));
    for (size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      const auto line = nlohmann::json::parse(text.substr(0, end));
      EXPECT_EQ(line.at("device"), "serial-0001");
      Kind kind{};
      EXPECT_TRUE(KindFromName(line.at("kind").get<std::string>(), kind));
      taken.insert(line.at("seq").get<uint64_t>());
      if (taken.size() < 20) continue;  // one cumulative receipt at the end, after a line that is none
      const std::string answer = "garbage\n{\"hello\":1}\r\n{\"ack\":{\"boot\":" +
                                 std::to_string(line.at("boot").get<uint64_t>()) + ",\"ranges\":[[1,20]]}}\n";
      ASSERT_EQ(write(fd, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
    }
  }
  run.join();
  close(fd);
  EXPECT_EQ(counters_.receipted, 20u);
  EXPECT_EQ(counters_.bad_receipts, 1u);
  EXPECT_EQ(open_, 0u);
  EXPECT_FALSE(std::filesystem::exists(port)) << "the link goes with the simulator";
}

TEST_F(FleetTest, KeepsTheRateAndTheShare) {
  Broker broker(folder_, options_.server.port);
  if (!broker.running()) GTEST_SKIP() << "no mosquitto here";
  FakeGateway gateway(options_.server.port);
  options_.vending = 4;
  options_.rate = 500;
  options_.duration_s = 1;
  options_.critical_share = 0.2;
  Run();
  EXPECT_NEAR(static_cast<double>(counters_.produced), 500, 25);
  std::ifstream ledger(options_.ledger);
  int critical = 0;
  int all = 0;
  for (std::string line; std::getline(ledger, line);) {
    if (!line.starts_with("S\t")) continue;
    ++all;
    critical += line.find("telemetry") == std::string::npos && line.find("status") == std::string::npos;
  }
  EXPECT_NEAR(critical, all / 5, all / 12);
}

}  // namespace
}  // namespace sluice::sim
