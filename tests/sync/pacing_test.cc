#include "sync/pacing.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::sync {
namespace {

constexpr int64_t kSecond = 1'000'000;

class PacingTest : public testing::Test {
 protected:
  PacingTest() { Welcome(10'000, 10'000'000); }

  void Welcome(uint64_t items, uint64_t bytes) {
    pacing_.Restart(now_);
    pacing_.SetCredit(items, bytes);
  }
  // Sends what there is room for, of `items` that wait, each of `bytes`; how many.
  uint64_t Send(uint64_t items, uint64_t bytes = 100) {
    const auto room = pacing_.Room(now_, false);
    if (!room) return 0;
    items = std::min<uint64_t>({items, room->max_items, std::max<uint64_t>(room->max_bytes / bytes, 1)});
    sent_ += items;
    pacing_.Sent(0, sent_, items, items * bytes, *room, now_);
    return items;
  }

  const PacingOptions options_;
  Pacing pacing_{options_, false};
  int64_t now_ = kSecond;
  uint64_t sent_ = 0;
};

TEST_F(PacingTest, AFullBatchFollowsAtOnceAndOthersWait) {
  EXPECT_EQ(Send(2000), 512u);
  EXPECT_EQ(pacing_.DueUs(), now_) << "the one before was full";
  EXPECT_EQ(Send(7), 7u);
  EXPECT_EQ(Send(1), 0u);
  // 519 items in flight are two steps above the first.
  EXPECT_EQ(pacing_.DueUs(), now_ + 3 * options_.pace_min_us);
  now_ = pacing_.DueUs();
  EXPECT_EQ(Send(1), 1u);
}

TEST_F(PacingTest, NeverWaitsLongerThanTheMostForWhatIsInFlight) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Send(512), 512u);
  EXPECT_EQ(Send(1), 1u);
  EXPECT_EQ(pacing_.DueUs(), now_ + options_.pace_max_us);
}

TEST_F(PacingTest, AnIdleLinkWaitsForTheLeastOnly) {
  for (int i = 0; i < 10; ++i) Send(512);
  Send(1);
  EXPECT_EQ(pacing_.Acknowledged(0, sent_, now_), 10u * 512 + 1);
  EXPECT_TRUE(pacing_.idle());
  now_ += options_.pace_min_us;
  EXPECT_EQ(Send(1), 1u);
}

TEST_F(PacingTest, TheCreditBoundsWhatIsInFlight) {
  Welcome(700, 10'000'000);
  EXPECT_EQ(Send(2000), 512u);
  EXPECT_EQ(Send(2000), 0u) << "188 would be a crumb";
  EXPECT_EQ(pacing_.DueUs(), Pacing::kNever) << "only an acknowledgement opens the window";
  EXPECT_EQ(pacing_.Acknowledged(0, 512, now_), 512u);
  EXPECT_EQ(Send(2000), 512u);
  Welcome(10'000, 100'000);
  EXPECT_EQ(Send(2000), 512u);
  EXPECT_EQ(Send(2000), 0u) << "by bytes";
}

TEST_F(PacingTest, OneItemGoesWithoutAnyCredit) {
  Welcome(0, 0);
  EXPECT_EQ(Send(5), 1u);
  now_ += kSecond;
  EXPECT_EQ(Send(5), 0u);
}

TEST_F(PacingTest, CountsWhatIsInFlightToItsEnd) {
  EXPECT_EQ(Send(100), 100u);
  now_ += 10'000;
  EXPECT_EQ(Send(100), 100u);
  EXPECT_EQ(pacing_.in_flight_items(), 200u);
  EXPECT_EQ(pacing_.Acknowledged(0, 150, now_), 100u) << "the second batch is not through yet";
  EXPECT_EQ(pacing_.in_flight_bytes(), 10'000u);
  EXPECT_EQ(pacing_.ack_time_us(), 10'000);
  EXPECT_EQ(pacing_.Acknowledged(1, 0, now_ + 1), 100u) << "a later epoch: all of the earlier is through";
  EXPECT_TRUE(pacing_.idle());
  Send(10);
  pacing_.Drop();
  EXPECT_EQ(pacing_.in_flight_items(), 0u);
}

TEST_F(PacingTest, SlowsDownByHalfOfWhatQueuesUpInTheCloud) {
  const auto round_trip = [&](int64_t us) {
    now_ = std::max(now_, pacing_.DueUs());
    ASSERT_EQ(Send(1), 1u);
    now_ += us;
    ASSERT_GE(pacing_.Acknowledged(0, sent_, now_), 1u);
  };
  for (int i = 0; i < 20; ++i) round_trip(2'000);
  Send(1);
  EXPECT_EQ(pacing_.DueUs(), now_ + options_.pace_min_us);
  for (int i = 0; i < 200; ++i) round_trip(12'000);
  Send(1);
  EXPECT_NEAR(static_cast<double>(pacing_.DueUs() - now_), options_.pace_min_us + 5'000.0, 100);
  for (int i = 0; i < 200; ++i) round_trip(200'000);
  Send(1);
  // The shortest is of the last seconds: what stays slow is taken for the link's own.
  EXPECT_LE(pacing_.DueUs() - now_, options_.pace_min_us + options_.pace_queue_max_us);
}

TEST_F(PacingTest, BulkKeepsSecondsOfTheLinkInFlight) {
  Pacing bulk(options_, true);
  bulk.Restart(now_);
  bulk.SetCredit(1'000'000, 100'000'000);
  uint64_t last = 0;
  // 100 kB in each 100 ms: a link of 1 MB/s.
  for (int i = 0; i < 100; ++i) {
    const auto room = bulk.Room(now_, true);
    ASSERT_TRUE(room);
    bulk.Sent(0, ++last, 1, 100'000, *room, now_);
    now_ += 100'000;
    bulk.Acknowledged(0, last, now_);
  }
  EXPECT_NEAR(bulk.rate_bytes_s(), 1e6, 1e4);
  const auto most = [&](bool urgent_waits) {
    for (;;) {
      const auto room = bulk.Room(now_, urgent_waits);
      if (!room) return bulk.in_flight_bytes();
      bulk.Sent(0, ++last, room->max_items, room->max_bytes, *room, now_);
    }
  };
  const uint64_t busy = most(true);
  EXPECT_GT(busy, 800'000u);
  EXPECT_LE(busy, 1'010'000u);
  const uint64_t alone = most(false);
  EXPECT_GT(alone, 3'600'000u);
  EXPECT_LE(alone, 4'040'000u);
}

TEST_F(PacingTest, AnotherEpochNeedNotWait) {
  Send(1);
  EXPECT_EQ(Send(1), 0u);
  pacing_.Hurry();
  EXPECT_EQ(Send(1), 1u);
}

}  // namespace
}  // namespace sluice::sync
