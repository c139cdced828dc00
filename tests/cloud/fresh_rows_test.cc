// Rows that go from the writer to the relay through memory: nothing missing, nothing twice, in order, whatever did not fit.
#include "cloud/eventbus/fresh_rows.h"

#include <gmock/gmock.h>

#include <numeric>

#include "cloud/eventbus/relay.h"
#include "cloud/shop/device_applier.h"
#include "tests/cloud/fixture.h"

namespace sluice::cloud {
namespace {

using Coverage = eventbus::FreshRows::Coverage;
using ::testing::ElementsAre;

// Remembers the order; every `fail_every`-th call is refused.
class Collector final : public eventbus::Publisher {
 public:
  absl::Status Publish(uint64_t position, std::string_view entity, std::string_view envelope) override {
    if (fail_every > 0 && ++calls_ % fail_every == 0) return absl::UnavailableError("refused");
    EXPECT_TRUE(entity.starts_with("shop-1/d")) << entity;
    EXPECT_TRUE(envelope.starts_with("{\"eventId\"") && envelope.ends_with("}}")) << envelope;
    positions.push_back(position);
    return absl::OkStatus();
  }
  absl::Status Push() override { return absl::OkStatus(); }
  absl::Status Flush() override { return absl::OkStatus(); }
  std::string Mark() const override { return ""; }
  absl::Status Resume(const std::string&) override { return absl::OkStatus(); }

  uint64_t fail_every = 0;
  std::vector<uint64_t> positions;   // read when the relay has ended

 private:
  uint64_t calls_ = 0;
};

class FreshRowsTest : public ::testing::Test {
 protected:
  void Apply(uint64_t count) {
    std::vector<Item> items;
    for (uint64_t i = 0; i < count; ++i) {
      ++number_;
      auto event = NewEvent(number_, StrCat("d", number_ % 3), number_);
      event.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
      items.push_back(Record(number_, event));
    }
    const auto applied = ingest_.cursors->Apply(lease_, IdOf(1), items);
    ASSERT_TRUE(applied.ok()) << applied.status().ToString();
  }
  void StartRelay() {
    auto relay = eventbus::Relay::Start({.page = 5, .retry_ms = 1}, *ingest_.store, collector_, [](const absl::Status&) {},
                                        ingest_.fresh.get());
    ASSERT_TRUE(relay.ok());
    relay_ = *std::move(relay);
  }
  void ExpectAllOnce() {
    ASSERT_TRUE(relay_->AwaitPublished(ingest_.store->committed_position(), 20'000));
    relay_.reset();
    std::vector<uint64_t> expected(number_);
    std::iota(expected.begin(), expected.end(), 1);
    EXPECT_EQ(collector_.positions, expected);
  }
  static std::vector<int64_t> Positions(const eventbus::RowBuffer& rows, int64_t after) {
    std::vector<int64_t> out;
    EXPECT_TRUE(rows.ForEachAbove(after, [&](int64_t position, std::string_view, std::string_view) {
                      out.push_back(position);
                      return absl::OkStatus();
                    })
                    .ok());
    return out;
  }

  TempFolder folder_;
  Ingest<shop::DeviceApplier> ingest_{folder_.path(), shop::Schema(), nullptr, 3'000};   // about six rows
  ingest::Lease lease_ = ingest_.OpenStream(Queue::kShopBulk);
  uint64_t number_ = 0;
  Collector collector_;
  std::unique_ptr<eventbus::Relay> relay_;
};

TEST_F(FreshRowsTest, HasWhatWasCommittedSinceItWasLastTaken) {
  eventbus::RowBuffer rows;
  Apply(2);
  Apply(1);
  EXPECT_EQ(ingest_.fresh->Take(1, rows), Coverage::kAll);
  EXPECT_THAT(Positions(rows, 1), ElementsAre(2, 3));
  EXPECT_EQ(ingest_.fresh->Take(3, rows), Coverage::kAll);
  EXPECT_TRUE(rows.empty());
  EXPECT_EQ(ingest_.fresh->Take(2, rows), Coverage::kNone) << "row 3 was given away";
}

TEST_F(FreshRowsTest, KnowsNothingOfRowsFromBefore) {
  Apply(2);
  ingest_.Reopen();
  lease_ = ingest_.OpenStream(Queue::kShopBulk);
  Apply(1);
  eventbus::RowBuffer rows;
  EXPECT_EQ(ingest_.fresh->Take(1, rows), Coverage::kNone);
  EXPECT_EQ(ingest_.fresh->Take(2, rows), Coverage::kAll);
  EXPECT_THAT(Positions(rows, 2), ElementsAre(3));
}

TEST_F(FreshRowsTest, LeavesToTheTableWhatDoesNotFitAndAllBehindIt) {
  eventbus::RowBuffer rows;
  Apply(3);
  Apply(9);
  Apply(1);
  EXPECT_EQ(ingest_.fresh->Take(0, rows), Coverage::kPart);
  EXPECT_THAT(Positions(rows, 0), ElementsAre(1, 2, 3));
  EXPECT_EQ(ingest_.fresh->Take(3, rows), Coverage::kNone);
  Apply(1);
  EXPECT_EQ(ingest_.fresh->Take(13, rows), Coverage::kAll);
  EXPECT_THAT(Positions(rows, 13), ElementsAre(14));
}

TEST_F(FreshRowsTest, DoesNotGiveWhatWasRolledBackAndDoesNotTrustAFailedCommit) {
  eventbus::RowBuffer rows;
  Apply(1);
  eventbus::OutboxWriter writer("test-service", ingest_.fresh.get());
  EXPECT_FALSE(ingest_.store
                   ->Write([&](store::Transaction& transaction) -> absl::Status {
                     eventbus::Event event;
                     event.entity = "shop-1/d1";
                     RETURN_IF_ERROR(writer.Write(transaction, event));
                     return absl::AbortedError("no");
                   })
                   .ok());
  EXPECT_EQ(ingest_.fresh->Take(0, rows), Coverage::kPart);
  EXPECT_THAT(Positions(rows, 0), ElementsAre(1));
  EXPECT_EQ(ingest_.fresh->Take(1, rows), Coverage::kNone) << "the table says what became of position 2";
}

TEST_F(FreshRowsTest, TheRelayPublishesAllOnceWhateverWentThroughMemory) {
  StartRelay();
  SeededRandom random(7);
  while (number_ < 2'000) ASSERT_NO_FATAL_FAILURE(Apply(1 + random.Below(8)));
  ExpectAllOnce();
}

TEST_F(FreshRowsTest, WhatAPublisherRefusedComesAgainFromTheTable) {
  collector_.fail_every = 7;
  StartRelay();
  SeededRandom random(8);
  while (number_ < 300) ASSERT_NO_FATAL_FAILURE(Apply(1 + random.Below(8)));
  ExpectAllOnce();
}

}  // namespace
}  // namespace sluice::cloud
