#include "gateway/journal/sync_policy.h"

#include <gtest/gtest.h>

namespace sluice::journal {
namespace {

constexpr Queue kCritical = Queue::kInventory;
constexpr Queue kBulk = Queue::kShopBulk;

TEST(SyncPolicyTest, WithoutAcksCriticalWaits2MsAndBulk50Ms) {
  SyncPolicy policy;
  EXPECT_EQ(policy.WaitUs(kCritical), 2'000);
  EXPECT_EQ(policy.WaitUs(kBulk), 50'000);
  policy.LinkUp(kCritical, true);
  EXPECT_EQ(policy.WaitUs(kCritical), 2'000) << "a link that has acknowledged nothing yet promises nothing";
}

TEST(SyncPolicyTest, WhileAcksFlowWaitsOneAndAHalfAckTimes) {
  SyncPolicy policy;
  policy.LinkUp(kCritical, true);
  policy.OnAck(kCritical, 40'000);
  EXPECT_EQ(policy.WaitUs(kCritical), 60'000);
  EXPECT_EQ(policy.WaitUs(kBulk), 50'000) << "queues are independent";
  for (int i = 0; i < 100; ++i) policy.OnAck(kCritical, 80'000);
  EXPECT_NEAR(static_cast<double>(policy.WaitUs(kCritical)), 120'000.0, 100.0);
}

TEST(SyncPolicyTest, NeverWaitsLongerThan200Ms) {
  SyncPolicy policy;
  policy.LinkUp(kBulk, true);
  policy.OnAck(kBulk, 5'000'000);
  EXPECT_EQ(policy.WaitUs(kBulk), 200'000);
}

TEST(SyncPolicyTest, NeverWaitsShorterThanWithoutALink) {
  SyncPolicy policy;
  policy.LinkUp(kBulk, true);
  policy.OnAck(kBulk, 500);
  EXPECT_EQ(policy.WaitUs(kBulk), 50'000);
}

TEST(SyncPolicyTest, ANearCloudIsWaitedForAsLongAsAFlushTakes) {
  SyncPolicy policy;
  policy.LinkUp(kCritical, true);
  policy.OnAck(kCritical, 500);
  EXPECT_EQ(policy.WaitUs(kCritical), 10'000);
}

TEST(SyncPolicyTest, ACloudThatStallsIsNotWaitedForUntilItAnswersAgain) {
  SyncPolicy policy;
  policy.LinkUp(kCritical, true);
  policy.OnAck(kCritical, 40'000);
  for (int i = 0; i < SyncPolicy::kMissesUntilStalled; ++i) policy.OnMiss(kCritical);
  EXPECT_EQ(policy.WaitUs(kCritical), 2'000);
  policy.OnAck(kCritical, 40'000);
  EXPECT_EQ(policy.WaitUs(kCritical), 60'000);
}

TEST(SyncPolicyTest, ALostLinkForgetsTheAckTime) {
  SyncPolicy policy;
  policy.LinkUp(kCritical, true);
  policy.OnAck(kCritical, 40'000);
  policy.LinkUp(kCritical, false);
  EXPECT_EQ(policy.WaitUs(kCritical), 2'000);
}

}  // namespace
}  // namespace sluice::journal
