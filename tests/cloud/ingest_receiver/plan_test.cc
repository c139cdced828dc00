#include "cloud/ingest/plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::ingest {
namespace {

std::vector<Item> Items(std::initializer_list<std::pair<uint64_t, uint64_t>> ranges) {
  std::vector<Item> items;
  for (const auto& [first, last] : ranges) items.push_back(Item{.first = first, .last = last});
  return items;
}

TEST(PlanTest, SkipsWhatTookEffectBefore) {
  EXPECT_EQ(Decide(5, 5, 5), Verdict::kSkip);
  EXPECT_EQ(Decide(5, 1, 5), Verdict::kSkip);
  EXPECT_EQ(Decide(5, 2, 3), Verdict::kSkip);
}

TEST(PlanTest, AcceptsWhatComesNextAndWhatReachesOverTheCursor) {
  EXPECT_EQ(Decide(0, 1, 1), Verdict::kAccept);
  EXPECT_EQ(Decide(5, 6, 6), Verdict::kAccept);
  EXPECT_EQ(Decide(5, 3, 9), Verdict::kAccept);
}

TEST(PlanTest, StopsBeforeAHole) {
  EXPECT_EQ(Decide(0, 2, 2), Verdict::kStop);
  EXPECT_EQ(Decide(5, 7, 9), Verdict::kStop);
}

TEST(PlanTest, DoesNotWrapNearTheEndOfTheNumbers) {
  EXPECT_EQ(Decide(UINT64_MAX, 1, 1), Verdict::kSkip);
  EXPECT_EQ(Decide(UINT64_MAX, UINT64_MAX, UINT64_MAX), Verdict::kSkip);
  EXPECT_EQ(Decide(UINT64_MAX - 1, UINT64_MAX, UINT64_MAX), Verdict::kAccept);
  EXPECT_EQ(Decide(0, UINT64_MAX, UINT64_MAX), Verdict::kStop);
}

TEST(PlanTest, SplitsABatchAtTheCursor) {
  const Plan plan = PlanBatch(3, Items({{2, 2}, {3, 3}, {4, 4}, {5, 8}}));
  EXPECT_EQ(plan.skip, 2u);
  EXPECT_EQ(plan.accept, 2u);
  EXPECT_EQ(plan.cursor, 8u);
  EXPECT_EQ(plan.expected, 0u);
}

TEST(PlanTest, NamesTheNumberThatHasToComeFirst) {
  const Plan hole = PlanBatch(3, Items({{5, 5}}));
  EXPECT_EQ(hole.accept, 0u);
  EXPECT_EQ(hole.expected, 4u);
  const Plan later = PlanBatch(0, Items({{1, 1}, {3, 3}}));
  EXPECT_EQ(later.accept, 1u);
  EXPECT_EQ(later.expected, 2u);
  const Plan backwards = PlanBatch(0, Items({{1, 4}, {2, 2}}));
  EXPECT_EQ(backwards.accept, 1u);
  EXPECT_EQ(backwards.expected, 5u);
}

TEST(PlanTest, OfNothingIsNothing) {
  const Plan plan = PlanBatch(7, {});
  EXPECT_EQ(plan.cursor, 7u);
  EXPECT_EQ(plan.expected, 0u);
}

}  // namespace
}  // namespace sluice::ingest
