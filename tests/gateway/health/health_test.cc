#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "gateway/health/counters.h"
#include "gateway/health/warnings.h"

namespace sluice::health {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(CountersTest, ANameIsOneCounter) {
  Counters counters;
  Counter& first = counters.Get("a_b");
  for (int i = 0; i < 1000; ++i) counters.Get(std::string("c") + std::to_string(i));
  EXPECT_EQ(&first, &counters.Get("a_b"));
  first.Add(3);
  EXPECT_EQ(counters.Values().at("a_b"), 3);
}

TEST(CountersTest, ThreadsLoseNothing) {
  Counters counters;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&counters] {
      for (int i = 0; i < 10'000; ++i) counters.Get("n").Add();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counters.Values().at("n"), 40'000);
}

TEST(CountersTest, PartsThatCountByThemselvesAreAdded) {
  Counters counters;
  counters.Get("both").Add(1);
  counters.AddSource([] { return std::map<std::string, int64_t>{{"both", 2}, {"own", 5}}; });
  EXPECT_THAT(counters.Values(), ElementsAre(Pair("both", 3), Pair("own", 5)));
}

TEST(WarningsTest, AWarningStandsUntilItIsCleared) {
  ManualClock clock;
  Counters counters;
  Warnings warnings(clock, counters);
  const int64_t since = clock.WallMs();
  EXPECT_TRUE(warnings.Raise("disk_almost_full", "85 %"));
  clock.AdvanceMs(1000);
  EXPECT_FALSE(warnings.Raise("disk_almost_full", "95 %"));
  ASSERT_EQ(warnings.List().size(), 1u);
  EXPECT_EQ(warnings.List()[0].text, "95 %");
  EXPECT_EQ(warnings.List()[0].since_ms, since);
  EXPECT_TRUE(warnings.Stands("disk_almost_full"));
  EXPECT_TRUE(warnings.Clear("disk_almost_full"));
  EXPECT_FALSE(warnings.Clear("disk_almost_full"));
  EXPECT_THAT(warnings.List(), IsEmpty());
}

TEST(WarningsTest, EachRaisingIsCountedOnce) {
  ManualClock clock;
  Counters counters;
  Warnings warnings(clock, counters);
  for (int i = 0; i < 3; ++i) {
    warnings.Set("clock_unset", true, "no time source");
    warnings.Set("clock_unset", true, "no time source");
    warnings.Set("clock_unset", false, "");
  }
  EXPECT_EQ(counters.Values().at("warning_clock_unset"), 3);
}

}  // namespace
}  // namespace sluice::health
