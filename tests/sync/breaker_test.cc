#include "sync/breaker.h"

#include <gtest/gtest.h>

namespace sluice::sync {
namespace {

class BreakerTest : public testing::Test {
 protected:
  void Fail(int times) {
    for (int i = 0; i < times; ++i) breaker_.Record(absl::UnavailableError("x"), now_);
  }
  SeededRandom random_{3};
  Breaker breaker_{{}, random_};
  int64_t now_ = 1'000'000;
};

TEST_F(BreakerTest, OpensAfterFiveFailuresInARow) {
  Fail(4);
  EXPECT_TRUE(breaker_.Allow(now_));
  breaker_.Record(absl::OkStatus(), now_);
  Fail(4);
  EXPECT_EQ(breaker_.state(), Breaker::State::kClosed);
  Fail(1);
  EXPECT_EQ(breaker_.state(), Breaker::State::kOpen);
  EXPECT_FALSE(breaker_.Allow(now_));
}

TEST_F(BreakerTest, OpensWhenHalfOfTheLastTwentyFailed) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(breaker_.state(), Breaker::State::kClosed) << i;
    breaker_.Record(absl::OkStatus(), now_);
    Fail(1);
  }
  EXPECT_EQ(breaker_.state(), Breaker::State::kOpen);
}

TEST_F(BreakerTest, CountsOnlyWhatSpeaksAgainstTheService) {
  for (int i = 0; i < 30; ++i) {
    breaker_.Record(absl::ResourceExhaustedError("x"), now_);
    breaker_.Record(absl::PermissionDeniedError("x"), now_);
    breaker_.Record(absl::NotFoundError("x"), now_);
  }
  EXPECT_EQ(breaker_.state(), Breaker::State::kClosed);
}

TEST_F(BreakerTest, LetsOneProbeThroughAfterThirtySecondsMoreOrLess) {
  for (int round = 0; round < 50; ++round) {
    Fail(5);
    EXPECT_FALSE(breaker_.Allow(now_ + 14'999'000));
    now_ += 45'001'000;
    EXPECT_TRUE(breaker_.Allow(now_));
    EXPECT_FALSE(breaker_.Allow(now_)) << "one probe";
    if (round % 2 == 0) {
      Fail(1);
      EXPECT_FALSE(breaker_.Allow(now_));
      now_ += 45'001'000;
      EXPECT_TRUE(breaker_.Allow(now_));
    }
    breaker_.Record(absl::OkStatus(), now_);
    EXPECT_EQ(breaker_.state(), Breaker::State::kClosed);
  }
}

}  // namespace
}  // namespace sluice::sync
