#include "sync/lease_watch.h"

#include <gtest/gtest.h>

namespace sluice::sync {
namespace {

constexpr int64_t kMinute = 60'000'000;

TEST(LeaseWatchTest, TellsOfARefusalOnceUntilTheLeaseWasOurs) {
  LeaseWatch watch;
  EXPECT_TRUE(watch.Refused());
  EXPECT_FALSE(watch.Refused());
  watch.Held();
  EXPECT_TRUE(watch.Refused());
}

TEST(LeaseWatchTest, WhoLosesItAgainAndAgainHasATwin) {
  LeaseWatch watch;
  EXPECT_FALSE(watch.Lost(1 * kMinute));
  EXPECT_FALSE(watch.Lost(5 * kMinute));
  EXPECT_TRUE(watch.Lost(9 * kMinute));
  EXPECT_FALSE(watch.Lost(10 * kMinute)) << "counted anew";
}

TEST(LeaseWatchTest, NowAndThenIsNothing) {
  LeaseWatch watch;
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(watch.Lost(i * 6 * kMinute));
}

}  // namespace
}  // namespace sluice::sync
