#include "devices/transport/address_budget.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sluice::transport {
namespace {

TEST(AddressBudgetTest, ABurstAndThenSoManyASecond) {
  AddressBudget budget(10, 5);
  int64_t now = 1000;
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(budget.NextMs("a", now), now) << i;
    budget.Take("a", now);
  }
  EXPECT_EQ(budget.NextMs("a", now), now + 100);
  EXPECT_EQ(budget.NextMs("b", now), now) << "another's is another";
  int taken = 0;
  for (int64_t at = now + 1; at <= now + 10'000; ++at) {
    if (budget.NextMs("a", at) > at) continue;
    budget.Take("a", at);
    ++taken;
  }
  EXPECT_EQ(taken, 100);
  EXPECT_EQ(budget.NextMs("a", now + 60'000), now + 60'000);
}

TEST(AddressBudgetTest, WhatIsGivenBackMayBeTakenAgain) {
  AddressBudget budget(0.001, 1);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(budget.NextMs("a", 0), 0);
    budget.Take("a", 0);
    budget.GiveBack("a");
  }
  budget.GiveBack("a");
  budget.Take("a", 0);
  EXPECT_GT(budget.NextMs("a", 0), 0) << "never more than the burst";
  budget.GiveBack("unknown");
  EXPECT_EQ(budget.addresses(), 1u);
}

TEST(AddressBudgetTest, ForgetsWhoTookNothingForTheLongestTime) {
  AddressBudget budget(0.001, 1);
  budget.Take("old", 0);
  budget.Take("busy", 0);
  for (int i = 0; i < 3 * static_cast<int>(AddressBudget::kAddresses); ++i) {
    budget.Take(StrCat(i), 1);
    if (i % 1000 == 0) budget.Take("busy", 1);
  }
  EXPECT_EQ(budget.addresses(), AddressBudget::kAddresses);
  EXPECT_GT(budget.NextMs("busy", 1), 1);
  EXPECT_EQ(budget.NextMs("old", 1), 1);
}

}  // namespace
}  // namespace sluice::transport
