#include "tests/faults/byte_queue.h"

#include <gtest/gtest.h>

namespace sluice::faults {
namespace {

TEST(ByteQueueTest, LetsBytesGoWhenTheyAreDue) {
  ByteQueue queue;
  EXPECT_FALSE(queue.NextDueUs());
  queue.Push("a", 10);
  queue.Push("b", 20);
  queue.Push("c", 20);
  EXPECT_EQ(queue.bytes(), 3u);
  EXPECT_EQ(queue.NextDueUs(), 10);
  EXPECT_EQ(queue.PopDue(9, 100), "");
  EXPECT_EQ(queue.PopDue(10, 100), "a");
  EXPECT_EQ(queue.PopDue(25, 100), "bc");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(ByteQueueTest, TakesWholeChunksAndAtLeastOne) {
  ByteQueue queue;
  queue.Push("aaaa", 1);
  queue.Push("bbbb", 1);
  EXPECT_EQ(queue.PopDue(1, 2), "aaaa");
  EXPECT_EQ(queue.PopDue(1, 2), "bbbb");
}

}  // namespace
}  // namespace sluice::faults
