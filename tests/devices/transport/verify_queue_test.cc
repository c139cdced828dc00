#include "devices/transport/verify_queue.h"

#include <gmock/gmock.h>

#include <vector>

namespace sluice::transport {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class VerifyQueueTest : public testing::Test {
 protected:
  void Push(uint64_t connection, const std::string& address) { queue_.Push({connection, address, "vm-1", "secret"}); }
  std::vector<uint64_t> PopAll(int64_t now_ms) {
    std::vector<uint64_t> popped;
    while (const auto job = queue_.Pop(now_ms)) popped.push_back(job->connection);
    return popped;
  }

  VerifyQueue queue_{{.per_second = 2, .burst = 3}};
};

TEST_F(VerifyQueueTest, AddressesHaveTheirTurn) {
  for (uint64_t i = 1; i <= 3; ++i) Push(i, "crowd");
  Push(4, "one");
  Push(5, "other");
  EXPECT_THAT(PopAll(0), ElementsAre(1, 4, 5, 2, 3));
}

TEST_F(VerifyQueueTest, AnAddressThatUsedUpItsBudgetWaitsInOrder) {
  for (uint64_t i = 1; i <= 6; ++i) Push(i, "crowd");
  EXPECT_THAT(PopAll(0), ElementsAre(1, 2, 3));
  EXPECT_EQ(queue_.NextMs(0), 500);
  Push(7, "one");
  EXPECT_EQ(queue_.NextMs(0), 0);
  EXPECT_THAT(PopAll(0), ElementsAre(7));
  EXPECT_THAT(PopAll(499), IsEmpty());
  EXPECT_THAT(PopAll(500), ElementsAre(4));
  EXPECT_THAT(PopAll(1000), ElementsAre(5));
  EXPECT_THAT(PopAll(1500), ElementsAre(6));
  EXPECT_EQ(queue_.NextMs(1500), INT64_MAX);
}

TEST_F(VerifyQueueTest, WhoWasRightCostsNothing) {
  for (uint64_t i = 1; i <= 100; ++i) Push(i, "shop");
  for (uint64_t i = 1; i <= 100; ++i) {
    const auto job = queue_.Pop(0);
    ASSERT_TRUE(job);
    ASSERT_EQ(job->connection, i);
    queue_.WasRight("shop");
  }
}

TEST_F(VerifyQueueTest, WhoIsGoneTakesNoTurn) {
  for (uint64_t i = 1; i <= 5; ++i) Push(i, "crowd");
  for (uint64_t i = 1; i <= 4; ++i) queue_.Withdraw(i);
  queue_.Withdraw(77);
  EXPECT_EQ(queue_.size(), 1u);
  EXPECT_THAT(PopAll(0), ElementsAre(5));
  Push(6, "crowd");
  queue_.Withdraw(6);
  EXPECT_EQ(queue_.NextMs(0), INT64_MAX);
}

}  // namespace
}  // namespace sluice::transport
