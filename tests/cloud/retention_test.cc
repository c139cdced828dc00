// What is let go and what never (case 32): by age in service, after publication, oldest first.
#include "cloud/retention/retention.h"

#include <gmock/gmock.h>

#include "cloud/eventbus/relay.h"
#include "cloud/ingest/audit.h"
#include "cloud/inventory/inventory_service.h"
#include "cloud/inventory/stock_applier.h"
#include "cloud/shop/device_applier.h"
#include "cloud/shop/shop_service.h"
#include "tests/cloud/fixture.h"

namespace sluice::retention {
namespace {

using cloud::IdOf;
using cloud::NewEvent;
using cloud::Record;
using ::testing::ElementsAre;

constexpr int64_t kTenYearsMs = 10LL * 365 * kDayMs;

template <typename Business>
class RetentionOf : public ::testing::Test {
 protected:
  explicit RetentionOf(store::Component schema, Queue queue)
      : queue_(queue), ingest_(folder_.path(), std::move(schema)), lease_(ingest_.OpenStream(queue)) {
    StartRetention();
  }

  void StartRetention() { retention_ = std::make_unique<Retention>(options_, *ingest_.store, ingest_.clock); }
  void Restart() {
    retention_.reset();
    ingest_.Reopen();
    lease_ = ingest_.OpenStream(queue_);
    StartRetention();
  }
  // The service runs on, with a look every eight hours.
  void Serve(int64_t days) {
    for (int64_t look = 0; look < days * 3; ++look) ServeAndLook(kDayMs / 3);
  }
  void ServeAndLook(int64_t ms) {
    ingest_.clock.AdvanceMs(ms);
    ASSERT_OK(retention_->Look());
  }
  // As the relay does after a flush.
  void Published(const std::string& publisher, int64_t position) {
    ASSERT_OK(ingest_.store->Write([&](store::Transaction& transaction) {
      static constexpr store::Sql kNote{
          "INSERT INTO bus_relay(publisher, position, mark) VALUES(?, ?, '') "
          "ON CONFLICT(publisher) DO UPDATE SET position = excluded.position",
          "ti"};
      return transaction.Run(kNote, publisher, position).status();
    }));
  }
  void AllPublished() { Published("file", ingest_.store->committed_position()); }
  // The numbers of the bus's events, in order.
  std::string Bus() { return ingest_.Value("SELECT coalesce(min(seq) || '-' || max(seq) || ' ' || count(*), 'none') FROM bus_outbox"); }

  cloud::TempFolder folder_;
  const Queue queue_;
  Options options_{.publishers = {"file"}, .newest_bus_rows = 2};
  cloud::Ingest<Business> ingest_;
  ingest::Lease lease_;
  std::unique_ptr<Retention> retention_;
};

class ShopRetentionTest : public RetentionOf<shop::DeviceApplier> {
 protected:
  ShopRetentionTest() : RetentionOf(shop::Schema(), Queue::kShopBulk) {}
  void Apply(uint64_t from, uint64_t to) {
    std::vector<Item> items;
    for (uint64_t i = from; i <= to; ++i) {
      auto event = NewEvent(i, "d", i);
      event.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
      items.push_back(Record(i, event));
    }
    const auto applied = ingest_.cursors->Apply(lease_, IdOf(1), items);
    ASSERT_OK(applied.status());
  }
};

TEST_F(ShopRetentionTest, RowsGoWhenTheyHaveTheAgeAndNotBefore) {
  ASSERT_OK(retention_->Look());
  Apply(1, 10);
  AllPublished();
  Serve(7);
  EXPECT_EQ(Bus(), "1-10 10") << "the first mark that has them is a day younger than the store";
  Apply(11, 20);
  AllPublished();
  Serve(1);
  EXPECT_EQ(Bus(), "11-20 10");
  Serve(7);
  EXPECT_EQ(Bus(), "19-20 2") << "the newest stay";
}

TEST_F(ShopRetentionTest, WhatIsNotPublishedStaysHoweverOldItIs) {
  Apply(1, 10);
  Serve(30);
  EXPECT_EQ(Bus(), "1-10 10") << "no bus has noted anything";
  Published("file", 4);
  Serve(1);
  EXPECT_EQ(Bus(), "5-10 6");
  AllPublished();
  Serve(1);
  EXPECT_EQ(Bus(), "9-10 2");
}

TEST_F(ShopRetentionTest, EveryConfiguredBusCountsAndNoOther) {
  options_.publishers = {"file", "kafka"};
  StartRetention();
  Apply(1, 10);
  AllPublished();
  Published("forgotten", 0);
  Serve(30);
  EXPECT_EQ(Bus(), "1-10 10") << "kafka has noted nothing";
  Published("kafka", 3);
  Serve(1);
  EXPECT_EQ(Bus(), "4-10 7");
  options_.publishers = {};
  StartRetention();
  Serve(30);
  EXPECT_EQ(Bus(), "4-10 7");
}

TEST_F(ShopRetentionTest, AJumpOfTheClockMakesNothingOld) {
  ASSERT_OK(retention_->Look());
  Apply(1, 10);
  AllPublished();
  for (const int64_t jump : {kTenYearsMs, -2 * kTenYearsMs, kTenYearsMs}) {
    ingest_.clock.JumpWallMs(jump);
    Serve(2);
    EXPECT_EQ(Bus(), "1-10 10");
  }
  Serve(2);
  EXPECT_EQ(Bus(), "9-10 2") << "nor does it keep anything for ever";
}

TEST_F(ShopRetentionTest, TimeGoesOnOverRestartsAndNotBetweenThem) {
  Apply(1, 10);
  AllPublished();
  ASSERT_OK(retention_->Look());
  for (int half_day = 0; half_day < 14; ++half_day) {
    ASSERT_EQ(Bus(), "1-10 10") << half_day;
    ServeAndLook(kDayMs / 2);
    retention_.reset();
    ingest_.clock.AdvanceMs(kTenYearsMs);   // nobody served it
    Restart();
  }
  EXPECT_EQ(Bus(), "9-10 2");
}

TEST_F(ShopRetentionTest, OnlyTheOldestGoAndInShortTransactions) {
  Apply(1, 3'000);
  Serve(8);
  Published("file", 1'234);
  Serve(1);
  EXPECT_EQ(Bus(), "1235-3000 1766");
  EXPECT_EQ(ingest_.Value("SELECT max(position) - min(position) + 1 - count(*) FROM bus_outbox"), "0") << "none in the middle";
  EXPECT_EQ(ingest_.Value("SELECT position FROM bus_trim"), "1234");
}

TEST_F(ShopRetentionTest, ZeroDaysIsForEver) {
  options_.bus_days = options_.audit_days = 0;
  StartRetention();
  Apply(1, 10);
  AllPublished();
  Serve(50);
  EXPECT_EQ(Bus(), "1-10 10");
}

TEST_F(ShopRetentionTest, ARepeatIsRecognisedByTheRowsThatStay) {
  options_.newest_bus_rows = 5;
  StartRetention();
  Apply(1, 10);
  AllPublished();
  Serve(9);
  ASSERT_EQ(Bus(), "6-10 5");
  Restart();
  auto again = NewEvent(6, "d", 6);
  again.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
  ASSERT_OK(ingest_.cursors->Apply(lease_, IdOf(1), {Record(11, again)}).status());
  EXPECT_EQ(Bus(), "6-10 5");
}

TEST_F(ShopRetentionTest, PositionsAreNeverGivenAgainAlsoWhenAllRowsWent) {
  options_.newest_bus_rows = 0;
  StartRetention();
  Apply(1, 10);
  const int64_t last = ingest_.store->committed_position();
  AllPublished();
  Serve(9);
  ASSERT_EQ(Bus(), "none");
  Restart();
  EXPECT_EQ(ingest_.store->committed_position(), last);
  Apply(11, 11);
  EXPECT_EQ(ingest_.Value("SELECT min(position) FROM bus_outbox"), StrCat(last + 1));
}

TEST_F(ShopRetentionTest, TheAuditGoesByItsOwnAge) {
  const auto audit = [&](const std::string& what) {
    ASSERT_OK(ingest_.store->Write(
        [&](store::Transaction& transaction) { return ingest::Audit(transaction, 0, "gw", what, ""); }));
  };
  const auto held = [&] { return ingest_.Rows("SELECT what FROM audit ORDER BY id", 1); };
  options_.audit_days = 10;
  StartRetention();
  ASSERT_OK(retention_->Look());
  audit("one");
  audit("two");
  Serve(5);
  audit("three");
  ingest_.clock.JumpWallMs(kTenYearsMs);
  Serve(5);
  EXPECT_THAT(held(), ElementsAre("one", "two", "three"));
  Serve(1);
  EXPECT_THAT(held(), ElementsAre("three"));
  Serve(30);
  EXPECT_THAT(held(), ElementsAre("three")) << "its number must not be given again";
  audit("four");
  EXPECT_THAT(held(), ElementsAre("three", "four"));
  Serve(9);
  EXPECT_THAT(held(), ElementsAre("four")) << "a new row is not old because of an old mark";
}

TEST_F(ShopRetentionTest, OldMarksAreForgotten) {
  options_.audit_days = 20;
  StartRetention();
  Serve(50);
  EXPECT_EQ(ingest_.Value("SELECT count(*) FROM age_marks WHERE series = 'bus'"), "8");
  EXPECT_EQ(ingest_.Value("SELECT count(*) FROM age_marks WHERE series = 'audit'"), "21");
}

TEST_F(ShopRetentionTest, ARelayThatDiedFindsEverythingThatItHadNotNoted) {
  // Collects what it is given and notes nothing by itself.
  class Collector final : public eventbus::Publisher {
   public:
    explicit Collector(std::vector<uint64_t>& seen) : seen_(seen) {}
    absl::Status Publish(uint64_t position, std::string_view, std::string_view) override {
      seen_.push_back(position);
      return absl::OkStatus();
    }
    absl::Status Push() override { return absl::OkStatus(); }
    absl::Status Flush() override { return absl::UnavailableError("the bus cannot say that it is safe"); }
    std::string Mark() const override { return ""; }
    absl::Status Resume(const std::string&) override { return absl::OkStatus(); }

   private:
    std::vector<uint64_t>& seen_;
  };
  Apply(1, 10);
  std::vector<uint64_t> seen;
  for (int run = 0; run < 2; ++run) {
    seen.clear();
    Collector collector(seen);
    auto relay = eventbus::Relay::Start({.note_every_ms = 1}, *ingest_.store, collector, [](const absl::Status&) {});
    ASSERT_OK(relay.status());
    ASSERT_TRUE((*relay)->AwaitPublished(ingest_.store->committed_position(), 10'000));
    Serve(20);
    EXPECT_EQ(Bus(), "1-10 10");
    relay->reset();
    EXPECT_EQ(seen.size(), 10u) << run;
    Restart();
  }
}

class StockRetentionTest : public RetentionOf<inventory::StockApplier> {
 protected:
  StockRetentionTest() : RetentionOf(inventory::Schema(), Queue::kInventory) {}
  static event::v1::DeviceEvent Sale(uint64_t id) {
    auto event = NewEvent(id, "vm", id);
    event.mutable_sale()->set_product_id("cola");
    event.mutable_sale()->set_quantity(1);
    return event;
  }
};

TEST_F(StockRetentionTest, ASaleIsRecognisedLongAfterItsEventsWent) {
  for (uint64_t i = 1; i <= 5; ++i) ASSERT_OK(ingest_.cursors->Apply(lease_, IdOf(1), {Record(i, Sale(i))}).status());
  AllPublished();
  Serve(9);
  const std::string bus = Bus();
  ASSERT_EQ(bus, "5-5 2") << "StockUpdated and DeviceDataReceived of the last";
  Restart();
  ASSERT_OK(ingest_.cursors->Apply(lease_, IdOf(1), {Record(6, Sale(1))}).status());
  EXPECT_EQ(Bus(), bus);
  EXPECT_EQ(ingest_.Value("SELECT level FROM stock_levels"), "-5");
  EXPECT_EQ(ingest_.Value("SELECT count(*) FROM effects"), "5");
}

TEST_F(StockRetentionTest, AThreadLooksByItself) {
  options_.look_every_ms = 1;
  StartRetention();
  ASSERT_OK(ingest_.cursors->Apply(lease_, IdOf(1), {Record(1, Sale(1)), Record(2, Sale(2))}).status());
  AllPublished();
  retention_->Start([](const absl::Status& status) { ADD_FAILURE() << status; });
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (Bus() != "2-2 2" && std::chrono::steady_clock::now() < end) ingest_.clock.AdvanceMs(kDayMs);
  EXPECT_EQ(Bus(), "2-2 2");
}

}  // namespace
}  // namespace sluice::retention
