// Who may write a queue, and until when: by a clock that nobody can set (delivery rule R13, cases 9, 10, 20).
#include <gmock/gmock.h>

#include "cloud/inventory/inventory_service.h"
#include "cloud/inventory/stock_applier.h"
#include "tests/cloud/fixture.h"

namespace sluice::cloud {
namespace {

using ::testing::HasSubstr;

constexpr Queue kQueue = Queue::kInventory;
constexpr int64_t kTermMs = 60'000;   // of the fixture
constexpr int64_t kTenYearsMs = 10LL * 365 * 86'400'000;

class LeasesTest : public ::testing::Test {
 protected:
  absl::Status OpenFrom(const std::string& hardware) {
    return ingest_.cursors->OpenFor("shop-1", "gw", kQueue, hardware, {Epoch{.id = IdOf(2), .shop = "shop-1"}})
        .status();
  }
  // The holder says something, as it does at the latest every 100 s.
  absl::Status Renew() { return ingest_.cursors->Renew(lease_); }
  std::string Audited(const std::string& what) {
    return ingest_.Value("SELECT count(*) FROM audit WHERE what = '" + what + "'");
  }

  TempFolder folder_;
  Ingest<inventory::StockApplier> ingest_{folder_.path(), inventory::Schema()};
  ingest::Lease lease_ = ingest_.OpenStream(kQueue);
};

#define EXPECT_REFUSED(expression) EXPECT_EQ((expression).code(), absl::StatusCode::kFailedPrecondition)

TEST_F(LeasesTest, TheSameHardwareTakesOverAtOnceAndTheOldStreamIsDead) {
  const auto old = lease_;
  lease_ = ingest_.OpenStream(kQueue);
  event::v1::DeviceEvent sale = NewEvent(1, "vm", 1);
  sale.mutable_sale()->set_product_id("cola");
  EXPECT_REFUSED(ingest_.cursors->Apply(old, IdOf(1), {Record(1, sale)}).status());
  EXPECT_REFUSED(ingest_.cursors->Renew(old));
  ingest_.cursors->Release(old);   // no longer its to release
  EXPECT_OK(Renew());
  EXPECT_EQ(ingest_.Value("SELECT count(*) FROM stock_movements"), "0");
}

TEST_F(LeasesTest, OtherHardwareWaitsForTheExpiryAndIsFlagged) {
  EXPECT_REFUSED(OpenFrom("box-2"));
  EXPECT_EQ(Audited("lease_refused"), "1");
  EXPECT_OK(Renew());
  ingest_.clock.AdvanceMs(kTermMs + 1'000);
  ASSERT_OK(OpenFrom("box-2"));
  EXPECT_EQ(Audited("hardware_changed"), "1");
  EXPECT_EQ(ingest_.cursors->figures().lease_refusals, 1u);
  EXPECT_EQ(ingest_.cursors->figures().hardware_changes, 1u);
  EXPECT_REFUSED(Renew());
}

// Two boxes with one hardware id: a copied card where nothing tells the boxes apart.
TEST_F(LeasesTest, ABoxWhoseEpochAnotherLeftBehindWaitsAndBothAreFlagged) {
  const auto open = [&](std::initializer_list<uint64_t> epochs) {
    std::vector<Epoch> held;
    for (const uint64_t id : epochs) held.push_back(Epoch{.id = IdOf(id), .gateway = "gw", .shop = "shop-1"});
    return ingest_.cursors->OpenFor("shop-1", "gw", kQueue, "box-1", held);
  };
  const auto copy = open({1, 2});
  ASSERT_OK(copy.status());
  EXPECT_EQ(ingest_.Value("SELECT count(*) FROM audit"), "0") << "it may be a restart";
  const auto refused = open({1});
  EXPECT_REFUSED(refused.status());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("another box"));
  EXPECT_EQ(Audited("lease_refused"), "1");
  const std::string detail = ingest_.Value("SELECT detail FROM audit");
  EXPECT_THAT(detail, HasSubstr(IdOf(1).ToHex()));
  EXPECT_THAT(detail, HasSubstr(IdOf(2).ToHex()));
  EXPECT_OK(ingest_.cursors->Renew(copy->lease));
  ingest_.Reopen();
  EXPECT_FALSE(open({1}).ok()) << "also after a restart of the service";
  ingest_.clock.AdvanceMs(kTermMs + 1'000);
  ASSERT_OK(open({1}).status());
  EXPECT_FALSE(open({2}).ok());
  ingest_.cursors->Release(lease_);
}

TEST_F(LeasesTest, ARefusalIsNotedOnceAMinute) {
  for (int second = 0; second < 59; ++second) {
    EXPECT_REFUSED(OpenFrom("box-2"));
    ingest_.clock.AdvanceMs(1'000);
  }
  EXPECT_EQ(Audited("lease_refused"), "1");
  EXPECT_OK(Renew());
  ingest_.clock.AdvanceMs(1'000);
  EXPECT_REFUSED(OpenFrom("box-2"));
  EXPECT_EQ(Audited("lease_refused"), "2");
}

TEST_F(LeasesTest, TrafficRenews) {
  for (int i = 1; i <= 3; ++i) {
    ingest_.clock.AdvanceMs(kTermMs * 2 / 3);
    event::v1::DeviceEvent sale = NewEvent(i, "vm", i);
    sale.mutable_sale()->set_product_id("cola");
    ASSERT_OK(ingest_.cursors->Apply(lease_, IdOf(1), {Record(i, sale)}).status());
  }
  EXPECT_REFUSED(OpenFrom("box-2"));
}

TEST_F(LeasesTest, AReleasedLeaseIsFree) {
  ingest_.cursors->Release(lease_);
  EXPECT_OK(OpenFrom("box-2"));
}

TEST_F(LeasesTest, AClockTenYearsAheadFreesNothing) {
  ingest_.clock.JumpWallMs(kTenYearsMs);
  EXPECT_REFUSED(OpenFrom("box-2"));
  EXPECT_OK(Renew());
}

TEST_F(LeasesTest, AClockTenYearsBackFreezesNothing) {
  ingest_.clock.JumpWallMs(-kTenYearsMs);
  EXPECT_REFUSED(OpenFrom("box-2"));
  ingest_.clock.AdvanceMs(kTermMs);
  EXPECT_OK(OpenFrom("box-2"));
}

TEST_F(LeasesTest, AJumpBetweenRenewalsChangesNothing) {
  for (const int64_t jump : {kTenYearsMs, -kTenYearsMs, -kTenYearsMs, kTenYearsMs}) {
    ingest_.clock.AdvanceMs(kTermMs - 1'000);
    ASSERT_OK(Renew());
    ingest_.clock.JumpWallMs(jump);
    ingest_.clock.AdvanceMs(kTermMs - 1'000);
    EXPECT_REFUSED(OpenFrom("box-2"));
    ASSERT_OK(Renew());
  }
  ingest_.clock.AdvanceMs(kTermMs);
  EXPECT_OK(OpenFrom("box-2"));
}

// The monotonic clock of a process says nothing about another's: how long the store was closed is unknown.
TEST_F(LeasesTest, ALeaseOfAnEarlierProcessEndsAFullTermAfterThisOneStarted) {
  for (const int64_t jump : {kTenYearsMs, -kTenYearsMs, int64_t{0}}) {
    ingest_.clock.AdvanceMs(kTermMs - 1'000);
    ingest_.Reopen();
    ingest_.clock.JumpWallMs(jump);
    ingest_.clock.AdvanceMs(kTermMs - 1'000);
    EXPECT_REFUSED(OpenFrom("box-2"));
  }
  ingest_.clock.AdvanceMs(1'000);
  EXPECT_OK(OpenFrom("box-2"));
}

TEST_F(LeasesTest, ALeaseOfAnEarlierProcessIsWaitedForNoLongerThanATerm) {
  // Far along on the earlier process's clock, then a clock that begins anew, as after a boot of the machine.
  ingest_.clock.AdvanceMs(kTenYearsMs);
  ASSERT_OK(Renew());
  ingest_.clock.AdvanceMs(-kTenYearsMs);
  ingest_.Reopen();
  const absl::Status refused = OpenFrom("box-2");
  EXPECT_REFUSED(refused);
  EXPECT_THAT(std::string(MessageOf(refused)), HasSubstr("for another 60 s"));
  ingest_.clock.AdvanceMs(kTermMs);
  EXPECT_OK(OpenFrom("box-2"));
}

TEST_F(LeasesTest, AfterARestartTheSameHardwareTakesOverAtOnceAndATokenStaysGood) {
  ingest_.Reopen();
  EXPECT_OK(Renew());
  ingest_.clock.AdvanceMs(kTermMs - 1'000);
  EXPECT_REFUSED(OpenFrom("box-2"));
  EXPECT_OK(OpenFrom("box-1"));
  EXPECT_REFUSED(Renew());
}

TEST_F(LeasesTest, ALeaseOfAnEarlierVersionIsOneOfAnEarlierProcess) {
  ASSERT_OK(ingest_.store->Write([](store::Transaction& transaction) {
    // By the wall clock, ten years ahead of it.
    static constexpr store::Sql kOld{"UPDATE leases SET expires_ms = 2020000000000, refused_ms = 0, timeline = ''"};
    return transaction.Run(kOld).status();
  }));
  EXPECT_REFUSED(OpenFrom("box-2"));
  ingest_.clock.AdvanceMs(kTermMs);
  EXPECT_OK(OpenFrom("box-2"));
}

}  // namespace
}  // namespace sluice::cloud
