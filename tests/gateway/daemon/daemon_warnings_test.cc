// A whole gateway in the test's process, from a serial line to a cloud that comes and goes: what goes wrong stands in its
// status, and goes from there when it is over.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <thread>

#include "base/file.h"
#include "gateway/ctl/ctl_client.h"
#include "gateway/daemon/daemon.h"
#include "gateway/daemon/warning_rules.h"
#include "gateway/journal/format.h"
#include "tests/fakes/mosquitto_broker.h"
#include "tests/fakes/pty.h"
#include "tests/fakes/temp_folder.h"
#include "tests/sync/grpc_server.h"
#include "tests/sync/model_store.h"

namespace sluice::daemon {
namespace {

using ::testing::IsSupersetOf;

constexpr auto kPatience = std::chrono::seconds(40);
constexpr int64_t kPositionsEveryMs = 31'000;   // the outbox looks at least this often when the cloud took something

// The real one, and hours can pass.
class ShiftedClock final : public Clock {
 public:
  int64_t WallMs() const override { return real_.WallMs() + shift_ms_; }
  int64_t MonotonicUs() const override { return real_.MonotonicUs() + shift_ms_ * 1'000; }
  int64_t BootMs() const override { return real_.BootMs() + shift_ms_; }
  void Pass(int64_t ms) { shift_ms_ += ms; }

 private:
  SystemClock real_;
  std::atomic<int64_t> shift_ms_{0};
};

// A till at the far end of the line that says what it is told to, or all it can until it is stopped.
class Till {
 public:
  explicit Till(fakes::Pty& pty) : pty_(pty) { fcntl(pty.fd(), F_SETFL, fcntl(pty.fd(), F_GETFL) | O_NONBLOCK); }
  ~Till() { Stop(); }

  // Of about 1 KiB each.
  void SayAlarms(int count) { Say(count, "\"kind\":\"alarm\",\"code\":\"door\",\"severity\":\"critical\",\"text\":\""); }
  void SayTelemetry(int count) { Say(count, "\"kind\":\"telemetry\",\"values\":{", true); }
  void KeepSayingAlarms() {
    talker_ = std::thread([this] {
      while (!stop_) SayAlarms(1);
    });
  }
  void Stop() {
    stop_ = true;
    if (talker_.joinable()) talker_.join();
    stop_ = false;
  }
  uint64_t said() const { return seq_; }

 private:
  void Say(int count, const std::string& kind, bool values = false) {
    for (int i = 0; i < count; ++i) {
      std::string line = "{\"device\":\"till-1\",\"boot\":1,\"seq\":" + std::to_string(seq_ + 1) + "," + kind;
      if (values) {
        for (const char* name : {"a", "b", "c", "d"}) {
          line += (name[0] == 'a' ? "\"" : ",\"") + std::string(name) + "\":\"" + std::string(250, 'x') + "\"";
        }
        line += "}}\r\n";
      } else {
        line += std::string(1'000, 'x') + "\"}\r\n";
      }
      if (Write(line)) ++seq_;
    }
  }
  // The line stands still while the gateway does not read.
  bool Write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = write(pty_.fd(), text.data(), text.size());
      if (written > 0) text.remove_prefix(static_cast<size_t>(written));
      pollfd waiting{pty_.fd(), POLLOUT, 0};
      if (written < 0 && poll(&waiting, 1, 10) == 0 && stop_) return false;
    }
    return true;
  }

  fakes::Pty& pty_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> seq_{0};
  std::thread talker_;
};

class DaemonWarningsTest : public ::testing::Test {
 protected:
  DaemonWarningsTest() {
    const auto certificate = authority_.IssueGateway("s1", "g1");
    Write("gateway.pem", certificate.certificate_pem);
    Write("gateway.key", certificate.private_key_pem);
    Write("ca.pem", authority_.certificate_pem());
    // Without receipts: nobody would read them.
    Write("till.toml", "name = \"till\"\n[framing]\nend = \"\\r\\n\"\nmax_length = 8192\n[line]\nformat = \"events\"\n");
    config_.gateway.state_dir = folder_ / "state";
    config_.identity = {folder_ / "gateway.pem", folder_ / "gateway.key", folder_ / "ca.pem"};
    config_.cloud.shop = config_.cloud.inventory = config_.cloud.attendance = "127.0.0.1:" + std::to_string(port_);
    config_.sync.spread_ms = config_.sync.base_ms = 50;
    config_.sync.cap_ms = 200;
    config_.journal.segment_bytes = 256u << 10;
    config_.journal.max_segments = 3;
    config_.journal.max_record_bytes = 64u << 10;
    config_.outbox.memory_bytes = 1u << 20;
    config_.outbox.spill_after_ms = 1;
    config_.outbox.quota_bytes = 8u << 20;
    config_.outbox.reserved_bytes = 1u << 20;
    config_.outbox.replay_window_bytes = 64u << 10;
    config_.control.socket = folder_ / "control.sock";
    config::Serial serial;
    serial.name = "till";
    serial.port = pty_.name();
    serial.profile = folder_ / "till.toml";
    config_.serial.push_back(serial);
  }
  ~DaemonWarningsTest() override { StopDaemon(); }

  void Write(const std::string& name, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, content, 0600).ok());
  }
  void StartDaemon() {
    auto daemon = Daemon::Start(config_, clock_);
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    auto client = ctl::CtlClient::Connect(config_.control.socket);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }
  void StopDaemon() {
    client_.reset();
    daemon_.reset();
  }
  void StartCloud() {
    sync::GrpcServer::Options options;
    options.port = port_;
    options.receiver.queues.assign(kAllQueues.begin(), kAllQueues.end());
    cloud_ = sync::GrpcServer::Start(options, authority_, store_, clock_);
    ASSERT_NE(cloud_, nullptr);
  }

  // As sluicectl sees it, after the daemon has looked.
  ctl::pb::GetStatusResponse Status() {
    daemon_->Tick();
    auto status = client_->GetStatus();
    EXPECT_TRUE(status.ok()) << status.status();
    return status.value_or(ctl::pb::GetStatusResponse());
  }
  std::set<std::string> Standing() {
    std::set<std::string> codes;
    const auto status = Status();
    for (const auto& warning : status.warnings()) codes.insert(warning.code());
    // The machine's own business.
    codes.erase("clock_unset");
    return codes;
  }
  bool Stands(const std::string& code) { return Standing().contains(code); }
  int64_t Counter(const std::string& name) {
    const auto status = Status();
    for (const auto& counter : status.counters()) {
      if (counter.name() == name) return counter.value();
    }
    return 0;
  }
  uint64_t Stored() {
    uint64_t stored = 0;
    const auto status = Status();
    for (const auto& queue : status.queues()) stored += queue.stored();
    return stored;
  }
  uint64_t Pending() {
    uint64_t pending = 0;
    const auto status = Status();
    for (const auto& queue : status.queues()) pending += queue.pending();
    return pending;
  }
  bool Eventually(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  // Each look of a cloud that took things lets go of what is beyond the replay window.
  bool AllEndsOnceTheCloudHasIt() {
    return Eventually([&] { return Pending() == 0; }) && Eventually([&] {
             clock_.Pass(kPositionsEveryMs);
             return Standing().empty();
           });
  }

  fakes::TempFolder folder_;
  fakes::TestAuthority authority_;
  const int port_ = fakes::FreePort();
  config::Config config_;
  ShiftedClock clock_;
  fakes::Pty pty_;
  Till till_{pty_};
  SystemRandom random_;
  sync::ModelStore store_{random_};
  std::unique_ptr<sync::GrpcServer> cloud_;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<ctl::CtlClient> client_;
};

TEST_F(DaemonWarningsTest, AnOutageFillsTheBoxStepByStepAndItsEndEmptiesIt) {
  StartDaemon();
  EXPECT_EQ(Standing(), std::set<std::string>{});
  std::vector<std::string> steps;
  // 1 % of the quota at a time, so that no step passes unseen.
  ASSERT_TRUE(Eventually([&] {
    till_.SayAlarms(80);
    if (!Eventually([&] { return Stored() >= till_.said() || Stands("critical_waits_for_room"); })) return true;
    for (const std::string& code : Standing()) {
      if (std::find(steps.begin(), steps.end(), code) == steps.end()) steps.push_back(code);
    }
    return Stands("critical_waits_for_room");
  }));
  EXPECT_EQ(steps, (std::vector<std::string>{"outbox_70_percent", "outbox_85_percent", "outbox_95_percent",
                                             "critical_waits_for_room"}));
  till_.KeepSayingAlarms();
  ASSERT_TRUE(Eventually([&] { return Stands("intake_backpressure"); }));
  EXPECT_EQ(Standing(), (std::set<std::string>{"critical_waits_for_room", "intake_backpressure", "outbox_95_percent"}));

  StartCloud();
  ASSERT_TRUE(Eventually([&] { return !Stands("intake_backpressure"); }));
  till_.Stop();
  EXPECT_TRUE(AllEndsOnceTheCloudHasIt());
  EXPECT_EQ(store_.losses().size(), 0u);
  EXPECT_GE(store_.effects().size(), till_.said());
}

TEST_F(DaemonWarningsTest, DroppedTelemetryIsToldForADayAndAgainWhenMoreIsDropped) {
  StartDaemon();
  const auto drop = [&] {
    const int64_t before = Counter("outbox_dropped_bulk");
    return Eventually([&] {
      till_.SayTelemetry(50);
      return Counter("outbox_dropped_bulk") > before;
    });
  };
  ASSERT_TRUE(drop());
  EXPECT_TRUE(Stands("bulk_dropped"));
  ASSERT_TRUE(Eventually([&] { return Stored() + static_cast<uint64_t>(Counter("outbox_dropped_bulk")) >= till_.said(); }));
  clock_.Pass(WarningRules::kHappeningStandsMs);
  EXPECT_FALSE(Stands("bulk_dropped"));
  ASSERT_TRUE(drop());
  EXPECT_TRUE(Stands("bulk_dropped"));

  StartCloud();
  EXPECT_TRUE(AllEndsOnceTheCloudHasIt());
  EXPECT_FALSE(store_.losses().empty());
}

void Garble(const std::string& path, uint64_t at, size_t size) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file << std::string(size, '\x5A');
}

TEST_F(DaemonWarningsTest, AStoreThatIsSetAsideAndWhatItLostAreToldForADay) {
  StartDaemon();
  // The journal has long recycled the first of them.
  for (int i = 0; i < 10; ++i) {
    till_.SayAlarms(400);
    ASSERT_TRUE(Eventually([&] { return Stored() >= till_.said(); }));
  }
  StopDaemon();
  for (const uint64_t page : {300, 301, 302}) Garble(folder_ / "state/outbox.db", page * 4096, 4096);
  StartDaemon();
  StartCloud();
  EXPECT_TRUE(Eventually([&] { return Pending() == 0; }));
  EXPECT_THAT(Standing(), IsSupersetOf({"events_lost", "store_set_aside"}));
  EXPECT_FALSE(store_.losses().empty());
  EXPECT_EQ(Counter("outbox_gaps_declared"), static_cast<int64_t>(store_.losses().size()));
  clock_.Pass(WarningRules::kHappeningStandsMs);
  EXPECT_EQ(Standing(), std::set<std::string>{});
}

TEST_F(DaemonWarningsTest, AStoreThatGoesBadWhileRunningIsToldToo) {
  StartDaemon();
  for (int i = 0; i < 10; ++i) {
    till_.SayAlarms(400);
    ASSERT_TRUE(Eventually([&] { return Stored() >= till_.said(); }));
  }
  for (uint64_t page = 300; page < 400; ++page) Garble(folder_ / "state/outbox.db", page * 4096, 4096);
  EXPECT_EQ(Standing().count("store_set_aside"), 0u) << "nobody has read it yet";
  StartCloud();
  EXPECT_TRUE(Eventually([&] { return Stands("store_set_aside"); }));
  EXPECT_TRUE(Eventually([&] { return Pending() == 0; }));
  clock_.Pass(WarningRules::kHappeningStandsMs);
  EXPECT_EQ(Standing().count("store_set_aside"), 0u);
}

TEST_F(DaemonWarningsTest, ADamagedSegmentIsToldForADay) {
  StartDaemon();
  till_.SayAlarms(10);
  ASSERT_TRUE(Eventually([&] { return Stored() >= till_.said(); }));
  StopDaemon();
  std::filesystem::path newest;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "state/journal")) {
    if (entry.path().extension() != ".seg") continue;
    if (newest.empty() || entry.last_write_time() > std::filesystem::last_write_time(newest)) newest = entry.path();
  }
  ASSERT_FALSE(newest.empty());
  Garble(newest, journal::kFirstRecordOffset + 100, 20);
  StartDaemon();
  EXPECT_TRUE(Stands("journal_damaged"));
  EXPECT_GT(Counter("journal_bad_records"), 0);
  clock_.Pass(WarningRules::kHappeningStandsMs - 60'000);
  EXPECT_TRUE(Stands("journal_damaged"));
  clock_.Pass(60'000);
  EXPECT_EQ(Standing(), std::set<std::string>{});
}

}  // namespace
}  // namespace sluice::daemon
