#include "sync/uplink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <thread>

#include "base/file.h"
#include "base/uuid.h"
#include "tests/sync/grpc_server.h"
#include "tests/sync/model_outbox.h"
#include "tests/sync/model_store.h"

namespace sluice::sync {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);

class UplinkTest : public testing::Test {
 protected:
  UplinkTest() {
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("uplink-" + std::to_string(getpid()) + "-" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    Write("ca.pem", authority_.certificate_pem());
    UseCertificate(authority_.IssueGateway("s1", "g1"));
    StartServer();
  }
  ~UplinkTest() override {
    uplink_.reset();
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Write(const std::string& name, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomically(folder_ / name, content).ok());
  }
  void UseCertificate(const fakes::TestCertificate& certificate) {
    Write("gateway.pem", certificate.certificate_pem);
    Write("gateway.key", certificate.private_key_pem);
  }
  void StartServer(int64_t refuse_with_hint_ms = 0) {
    GrpcServer::Options options;
    options.refuse_with_hint_ms = refuse_with_hint_ms;
    options.port = port_;
    options.receiver.queues.assign(kAllQueues.begin(), kAllQueues.end());
    server_ = GrpcServer::Start(options, authority_, store_, clock_);
    ASSERT_NE(server_, nullptr);
    port_ = server_->port();
  }
  UplinkOptions Options() {
    UplinkOptions options;
    options.shop_address = options.inventory_address = options.attendance_address = server_->address();
    options.identity = {folder_ / "gateway.pem", folder_ / "gateway.key", folder_ / "ca.pem"};
    options.hardware_id = "box-1";
    options.software = "sluiced test";
    options.identity_poll_ms = 20;
    options.retry = {.spread_ms = 50, .base_ms = 50, .cap_ms = 200, .prompt_ms = 1, .slow_min_ms = 600'000,
                     .slow_max_ms = 600'000};
    return options;
  }
  void StartUplink() { StartUplink(Options()); }
  void StartUplink(UplinkOptions options) {
    auto uplink = Uplink::Create(std::move(options), outbox_, clock_, random_);
    ASSERT_TRUE(uplink.ok()) << uplink.status();
    uplink_ = *std::move(uplink);
    uplink_->Start();
  }
  std::string Payload() {
    const Id128 id = NewUuid7(clock_.WallMs(), random_);
    return std::string(id.View()) + std::string(100, 'x');
  }
  QueueStatus StatusOf(Queue queue) {
    for (QueueStatus& status : uplink_->Status()) {
      if (status.queue == queue) return status;
    }
    return {};
  }
  // The uplink has no events of its own to wait for from here: looks every millisecond.
  bool Eventually(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  bool EventuallyDrained() {
    return Eventually([this] {
      for (const Queue queue : kAllQueues) {
        if (!outbox_.Drained(queue)) return false;
      }
      return true;
    });
  }
  void ExpectEachOnceInOrder(Queue queue, size_t count) {
    uint64_t next = 1;
    for (const Effect& effect : store_.effects()) {
      if (effect.queue != queue) continue;
      EXPECT_EQ(effect.number, next++);
      EXPECT_EQ(effect.gateway, "g1");
      EXPECT_EQ(effect.shop, "s1");
    }
    EXPECT_EQ(next, count + 1) << QueueName(queue);
  }

  SystemClock clock_;
  SystemRandom random_;
  fakes::TestAuthority authority_;
  ModelOutbox outbox_{"g1", "s1", random_};
  ModelStore store_{random_};
  std::filesystem::path folder_;
  int port_ = 0;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<Uplink> uplink_;
};

TEST_F(UplinkTest, DeliversAllQueuesOverMutualTls) {
  for (int i = 0; i < 1000; ++i) {
    for (const Queue queue : kAllQueues) outbox_.Append(queue, Payload());
  }
  StartUplink();
  ASSERT_TRUE(EventuallyDrained());
  for (int i = 0; i < 500; ++i) {
    for (const Queue queue : kAllQueues) outbox_.Append(queue, Payload());
  }
  ASSERT_TRUE(EventuallyDrained());
  for (const Queue queue : kAllQueues) {
    ExpectEachOnceInOrder(queue, 1500);
    EXPECT_EQ(StatusOf(queue).link, LinkState::kStreaming);
    EXPECT_TRUE(outbox_.link_up(queue));
  }
  uplink_->Stop();
  for (const Queue queue : kAllQueues) {
    EXPECT_FALSE(outbox_.link_up(queue));
    EXPECT_EQ(StatusOf(queue).link, LinkState::kStopped);
    EXPECT_FALSE(store_.leased("g1", queue)) << "a clean end releases the lease";
  }
}

TEST_F(UplinkTest, DeliversThroughARestartOfTheServer) {
  StartUplink();
  std::atomic<bool> done = false;
  std::thread producer([&] {
    for (int i = 0; i < 3000; ++i) {
      outbox_.Append(Queue::kInventory, Payload());
      if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    done = true;
  });
  for (int round = 0; round < 5; ++round) {
    const size_t before = store_.effects().size();
    EXPECT_TRUE(Eventually([&] { return store_.effects().size() > before || done; }));
    server_.reset();
    StartServer();
  }
  producer.join();
  ASSERT_TRUE(EventuallyDrained());
  ExpectEachOnceInOrder(Queue::kInventory, 3000);
}

TEST_F(UplinkTest, TriesAgainOnANewChannelWhenTheServerComesUp) {
  const UplinkOptions options = Options();
  server_.reset();
  outbox_.Append(Queue::kInventory, Payload());
  StartUplink(options);
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kInventory).failures >= 2; }));
  const QueueStatus down = StatusOf(Queue::kInventory);
  EXPECT_NE(down.detail, "");
  StartServer();
  ASSERT_TRUE(EventuallyDrained());
}

TEST_F(UplinkTest, IsRefusedWithACertificateOfAnotherAuthority) {
  const fakes::TestAuthority other("other");
  UseCertificate(other.IssueGateway("s1", "g1"));
  outbox_.Append(Queue::kInventory, Payload());
  StartUplink();
  // gRPC only says that it failed to connect.
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kInventory).certificates == TlsVerdict::Kind::kOursRefused; }));
  const QueueStatus refused = StatusOf(Queue::kInventory);
  EXPECT_EQ(refused.link, LinkState::kRefused);
  EXPECT_GT(refused.next_try_ms, 500'000);
  EXPECT_THAT(refused.detail, testing::HasSubstr("UNAUTHENTICATED: the cloud does not accept our certificate ("));
  EXPECT_THAT(refused.detail, testing::HasSubstr("; by our own trust file: unable to get local issuer certificate"));
  EXPECT_TRUE(store_.effects().empty());
  // The right one is taken up at once.
  UseCertificate(authority_.IssueGateway("s1", "g1"));
  ASSERT_TRUE(EventuallyDrained());
  EXPECT_EQ(StatusOf(Queue::kInventory).certificates, TlsVerdict::Kind::kNothing);
  EXPECT_EQ(StatusOf(Queue::kInventory).detail, "");
}

TEST_F(UplinkTest, DoesNotBelieveAServerOfAnotherAuthority) {
  const fakes::TestAuthority other("other");
  Write("ca.pem", other.certificate_pem());
  outbox_.Append(Queue::kInventory, Payload());
  StartUplink();
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kInventory).certificates == TlsVerdict::Kind::kTheirsNotBelieved; }));
  EXPECT_THAT(StatusOf(Queue::kInventory).detail, testing::HasSubstr("the cloud's certificate does not verify: "));
  EXPECT_NE(StatusOf(Queue::kInventory).link, LinkState::kRefused) << "it is not we who are refused";
  EXPECT_TRUE(store_.effects().empty());
}

TEST_F(UplinkTest, DoesNotBelieveAServerOfAnotherName) {
  UplinkOptions options = Options();
  options.channel.server_name = "bank.example";
  outbox_.Append(Queue::kInventory, Payload());
  StartUplink(options);
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kInventory).certificates == TlsVerdict::Kind::kTheirsNotBelieved; }));
  EXPECT_THAT(StatusOf(Queue::kInventory).detail, testing::HasSubstr("mismatch"));
  EXPECT_TRUE(store_.effects().empty());
}

TEST_F(UplinkTest, ACloudThatIsDownIsNoRefusal) {
  const UplinkOptions options = Options();
  server_.reset();
  outbox_.Append(Queue::kInventory, Payload());
  StartUplink(options);
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kInventory).failures >= 3; }));
  EXPECT_EQ(StatusOf(Queue::kInventory).certificates, TlsVerdict::Kind::kNothing);
  EXPECT_NE(StatusOf(Queue::kInventory).link, LinkState::kRefused);
}

// The real one, but for the date: a box without a battery before it heard of the time.
class ClockOf1970 final : public Clock {
 public:
  int64_t WallMs() const override { return 5'000; }
  int64_t MonotonicUs() const override { return real_.MonotonicUs(); }
  int64_t BootMs() const override { return real_.BootMs(); }

 private:
  SystemClock real_;
};

TEST_F(UplinkTest, NamesTheClockWhereItStandsBeforeTheCertificate) {
  const UplinkOptions options = Options();
  server_.reset();
  outbox_.Append(Queue::kInventory, Payload());
  const ClockOf1970 clock;
  auto uplink = Uplink::Create(options, outbox_, clock, random_);
  ASSERT_TRUE(uplink.ok()) << uplink.status();
  uplink_ = *std::move(uplink);
  uplink_->Start();
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kInventory).failures >= 2; }));
  const std::string detail = StatusOf(Queue::kInventory).detail;
  EXPECT_THAT(detail, testing::HasSubstr("gateway.pem is not valid before 20"));
  EXPECT_THAT(detail, testing::HasSubstr("; this machine's clock says 1970-01-01T00:00:05Z; UNAVAILABLE: "));
  // The cloud decides, by its own clock.
  StartServer();
  ASSERT_TRUE(EventuallyDrained());
  EXPECT_EQ(StatusOf(Queue::kInventory).detail, "");
}

TEST_F(UplinkTest, NamesTheDateOfAnExpiredCertificate) {
  UseCertificate(authority_.Issue(
      {.uris = {"spiffe://sluice.test/shop/s1/gateway/g1"}, .valid_from_s = -7'200, .valid_to_s = -3'600}));
  outbox_.Append(Queue::kAttendance, Payload());
  StartUplink();
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kAttendance).failures >= 1; }));
  EXPECT_THAT(StatusOf(Queue::kAttendance).detail, testing::ContainsRegex("gateway.pem expired at 20.*Z; this machine's clock says 20"));
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kAttendance).certificates == TlsVerdict::Kind::kOursRefused; }));
  EXPECT_THAT(StatusOf(Queue::kAttendance).detail, testing::HasSubstr("certificate has expired"));
  EXPECT_TRUE(store_.effects().empty());
  UseCertificate(authority_.IssueGateway("s1", "g1"));
  ASSERT_TRUE(EventuallyDrained());
}

TEST_F(UplinkTest, TakesARenewedCertificateWithTheNextTry) {
  std::filesystem::remove(folder_ / "gateway.pem");
  outbox_.Append(Queue::kAttendance, Payload());
  StartUplink();
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kAttendance).failures >= 1; }));
  EXPECT_THAT(StatusOf(Queue::kAttendance).detail, testing::HasSubstr("gateway.pem"));
  UseCertificate(authority_.IssueGateway("s1", "g1"));
  ASSERT_TRUE(EventuallyDrained());
}

TEST_F(UplinkTest, AnotherShopIsAnotherEpochWithoutARestart) {
  for (int i = 0; i < 100; ++i) {
    for (const Queue queue : kAllQueues) outbox_.Append(queue, Payload());
  }
  StartUplink();
  ASSERT_TRUE(EventuallyDrained());
  UseCertificate(authority_.IssueGateway("s2", "g1"));
  ASSERT_TRUE(Eventually([&] { return outbox_.running().shop == "s2"; }));
  for (int i = 0; i < 50; ++i) {
    for (const Queue queue : kAllQueues) outbox_.Append(queue, Payload());
  }
  ASSERT_TRUE(EventuallyDrained());
  std::map<std::pair<Queue, std::string>, int> effects;
  for (const Effect& effect : store_.effects()) ++effects[{effect.queue, effect.shop}];
  for (const Queue queue : kAllQueues) {
    EXPECT_EQ((effects[{queue, "s1"}]), 100);
    EXPECT_EQ((effects[{queue, "s2"}]), 50);
    EXPECT_EQ(StatusOf(queue).last_alarm, "");
  }
}

TEST_F(UplinkTest, OpenStreamsTakeUpARenewedCertificateInGoodOrder) {
  StartUplink();
  outbox_.Append(Queue::kInventory, Payload());
  ASSERT_TRUE(EventuallyDrained());
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kInventory).link == LinkState::kStreaming; }));
  const uint64_t tries = StatusOf(Queue::kInventory).tries;
  const EpochId epoch = outbox_.running().id;
  // The key comes later: until then nothing may happen to what works.
  const fakes::TestCertificate renewed = authority_.IssueGateway("s1", "g1");
  Write("gateway.pem", renewed.certificate_pem);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));   // five looks
  EXPECT_EQ(StatusOf(Queue::kInventory).tries, tries);
  EXPECT_EQ(StatusOf(Queue::kInventory).link, LinkState::kStreaming);
  Write("gateway.key", renewed.private_key_pem);
  ASSERT_TRUE(Eventually([&] {
    return StatusOf(Queue::kInventory).tries > tries && StatusOf(Queue::kInventory).link == LinkState::kStreaming;
  }));
  EXPECT_EQ(StatusOf(Queue::kInventory).tries, tries + 1);
  outbox_.Append(Queue::kInventory, Payload());
  ASSERT_TRUE(EventuallyDrained());
  ExpectEachOnceInOrder(Queue::kInventory, 2);
  EXPECT_EQ(outbox_.running().id, epoch);
}

TEST_F(UplinkTest, GoesTheSlowWayWhenTheEpochIsAnotherGatewaysUntilTold) {
  UseCertificate(authority_.IssueGateway("s1", "g2"));
  outbox_.Append(Queue::kInventory, Payload());
  StartUplink();
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kInventory).link == LinkState::kRefused; }));
  EXPECT_THAT(StatusOf(Queue::kInventory).last_alarm, testing::HasSubstr("foreign_epoch"));
  UseCertificate(authority_.IssueGateway("s1", "g1"));
  uplink_->SyncNow();
  ASSERT_TRUE(EventuallyDrained());
}

TEST_F(UplinkTest, ObeysTheHintInATrailer) {
  const UplinkOptions options = Options();
  server_.reset();
  StartServer(3'600'000);
  StartUplink(options);
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kInventory).link == LinkState::kWaiting &&
                                      StatusOf(Queue::kInventory).failures == 1; }));
  EXPECT_GT(StatusOf(Queue::kInventory).next_try_ms, 3'500'000);
  EXPECT_THAT(StatusOf(Queue::kInventory).detail, testing::HasSubstr("RESOURCE_EXHAUSTED"));
}

TEST_F(UplinkTest, StopsInBoundedTimeWhileTheServerIsSilent) {
  // A listener that never accepts: the TLS handshake hangs.
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 5), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  UplinkOptions options = Options();
  options.stop_timeout_ms = 100;
  options.inventory_address = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  outbox_.Append(Queue::kInventory, Payload());
  StartUplink(options);
  ASSERT_TRUE(Eventually([&] { return StatusOf(Queue::kInventory).link == LinkState::kConnecting; }));
  const auto begin = std::chrono::steady_clock::now();
  uplink_->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1200));
  close(listener);
}

TEST_F(UplinkTest, NeedsAddressesAndAHardwareId) {
  UplinkOptions options = Options();
  options.attendance_address.clear();
  EXPECT_EQ(Uplink::Create(options, outbox_, clock_, random_).status().code(), absl::StatusCode::kInvalidArgument);
  options = Options();
  options.hardware_id.clear();
  EXPECT_EQ(Uplink::Create(options, outbox_, clock_, random_).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice::sync
