#include "sync/retry_policy.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice::sync {
namespace {

constexpr int64_t kMs = 1000;
constexpr int64_t kNow = 5'000'000;

class RetryPolicyTest : public testing::Test {
 protected:
  StreamEnd Failure(absl::StatusCode code = absl::StatusCode::kUnavailable) { return {.status = absl::Status(code, "x")}; }
  StreamEnd Loss() { return {.status = absl::UnavailableError("x"), .proved = true}; }
  int64_t WaitMs(const RetryPolicy& policy) { return (policy.next_try_us() - kNow) / kMs; }

  SeededRandom random_{7};
  RetryOptions options_;
};

TEST_F(RetryPolicyTest, SpreadsTheFirstTryAfterALossOverAMinute) {
  std::map<int64_t, int> tens;
  for (int i = 0; i < 6000; ++i) {
    RetryPolicy policy(options_, random_);
    policy.Ended(Loss(), false, kNow);
    ASSERT_GE(WaitMs(policy), 0);
    ASSERT_LE(WaitMs(policy), 60'000);
    ++tens[std::min<int64_t>(WaitMs(policy) / 10'000, 5)];
  }
  for (const auto& [ten, count] : tens) EXPECT_NEAR(count, 1000, 150) << ten;
}

TEST_F(RetryPolicyTest, ThenBacksOffWithFullJitterToTheCap) {
  const int64_t bounds[] = {16'000, 32'000, 64'000, 128'000, 256'000, 300'000, 300'000};
  for (int run = 0; run < 500; ++run) {
    RetryPolicy policy(options_, random_);
    policy.Ended(Loss(), false, kNow);
    for (const int64_t bound : bounds) {
      policy.Ended(Failure(), false, kNow);
      ASSERT_LT(WaitMs(policy), bound);
    }
    EXPECT_EQ(policy.failures(), 8u);
    policy.Ended(Loss(), false, kNow);
    EXPECT_EQ(policy.failures(), 1u);
    policy.Ended(Failure(), false, kNow);
    ASSERT_LT(WaitMs(policy), 16'000);
  }
}

TEST_F(RetryPolicyTest, AWelcomeAloneEndsNoSeriesOfFailures) {
  RetryPolicy policy(options_, random_);
  for (int i = 0; i < 20; ++i) policy.Ended(Failure(), false, kNow);
  EXPECT_EQ(policy.failures(), 20u);
}

TEST_F(RetryPolicyTest, TheServersHintWins) {
  RetryPolicy policy(options_, random_);
  StreamEnd end = Loss();
  end.hint_ms = 90'000;
  policy.Ended(end, true, kNow);
  EXPECT_EQ(WaitMs(policy), 90'000);
  policy.Prompt(kNow + 1);
  EXPECT_EQ(WaitMs(policy), 90'000) << "not even a person may come earlier";
}

TEST_F(RetryPolicyTest, AHintCannotSwitchAGatewayOff) {
  RetryPolicy policy(options_, random_);
  StreamEnd end = Loss();
  end.hint_ms = INT64_MAX;
  policy.Ended(end, false, kNow);
  EXPECT_EQ(WaitMs(policy), 24 * 3'600'000);
}

TEST_F(RetryPolicyTest, StartAndSyncNowTryWithinTwoSeconds) {
  for (int i = 0; i < 200; ++i) {
    RetryPolicy policy(options_, random_);
    policy.Prompt(kNow);
    ASSERT_GE(WaitMs(policy), 0);
    ASSERT_LE(WaitMs(policy), 2000);
    for (int n = 0; n < 8; ++n) policy.Ended(Failure(), false, kNow);
    policy.Prompt(kNow);
    ASSERT_LE(WaitMs(policy), 2000);
  }
}

TEST_F(RetryPolicyTest, AGatewayThatLostOnlyItsOwnLinkComesBackAtOnceIfItMay) {
  StreamEnd end = Loss();
  int late = 0;
  for (int i = 0; i < 200; ++i) {
    RetryPolicy may(options_, random_);
    end.at_once_allowed = true;
    may.Ended(end, true, kNow);
    ASSERT_LE(WaitMs(may), 2000);
    RetryPolicy may_not(options_, random_);
    end.at_once_allowed = false;
    may_not.Ended(end, true, kNow);
    late += WaitMs(may_not) > 2000 ? 1 : 0;
  }
  EXPECT_GT(late, 150);
}

TEST_F(RetryPolicyTest, GoesTheSlowWayWhenRefusedForWhoItIs) {
  for (const auto code : {absl::StatusCode::kPermissionDenied, absl::StatusCode::kUnauthenticated}) {
    for (int i = 0; i < 100; ++i) {
      RetryPolicy policy(options_, random_);
      policy.Ended(Failure(code), true, kNow);
      EXPECT_TRUE(policy.slow());
      ASSERT_GE(WaitMs(policy), 300'000);
      ASSERT_LE(WaitMs(policy), 900'000);
      policy.Prompt(kNow);
      EXPECT_FALSE(policy.slow());
      ASSERT_LE(WaitMs(policy), 2000);
    }
  }
}

TEST_F(RetryPolicyTest, GoesTheSlowWayAfterAnAlarm) {
  RetryPolicy policy(options_, random_);
  StreamEnd end = Loss();
  end.slow = true;
  policy.Ended(end, false, kNow);
  EXPECT_TRUE(policy.slow());
  EXPECT_GE(WaitMs(policy), 300'000);
}

// 10,000 gateways that lose the cloud at once, against a server that is gone for good: the busiest second.
TEST_F(RetryPolicyTest, KeepsAStormBelow640TriesASecond) {
  std::map<int64_t, int> tries;
  for (int gateway = 0; gateway < 10'000; ++gateway) {
    RetryPolicy policy(options_, random_);
    policy.Ended(Loss(), false, 0);
    while (policy.next_try_us() < 600'000'000) {
      ++tries[policy.next_try_us() / 1'000'000];
      policy.Ended(Failure(), false, policy.next_try_us());
    }
  }
  int most = 0;
  for (const auto& [second, count] : tries) most = std::max(most, count);
  EXPECT_LE(most, 640);
}

}  // namespace
}  // namespace sluice::sync
