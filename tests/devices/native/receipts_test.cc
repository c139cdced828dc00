#include "devices/native/receipts.h"

#include "base/strings.h"
#include "gtest/gtest.h"

namespace sluice::native {
namespace {

devices::Receipt Of(const std::string& device, uint64_t boot, uint64_t to) {
  devices::Receipt receipt;
  receipt.device_id = device;
  receipt.boot = boot;
  receipt.ranges = {{1, to}};
  return receipt;
}

TEST(ReceiptQueueTest, TheNewerReceiptTakesTheOldersPlaceAndKeepsWhatItNamed) {
  ReceiptQueue queue;
  devices::Receipt first = Of("a", 1, 10);
  first.refused.push_back({.seq = 3, .message_id = "", .reason = "x"});
  first.ids = {"m1"};
  queue.Push(first);
  queue.Push(Of("b", 1, 5));
  devices::Receipt second = Of("a", 1, 20);
  second.ids = {"m2"};
  queue.Push(second);
  EXPECT_EQ(queue.size(), 2U);
  const auto popped = queue.Pop();
  EXPECT_EQ(popped->device_id, "a");
  EXPECT_EQ(popped->ranges[0].second, 20U);
  EXPECT_EQ(popped->refused.size(), 1U);
  EXPECT_EQ(popped->ids, (std::vector<std::string>{"m1", "m2"}));
  EXPECT_EQ(queue.Pop()->device_id, "b");
  EXPECT_FALSE(queue.Pop().has_value());
}

TEST(ReceiptQueueTest, WhatCouldNotBeSentGoesFirstAgainButNeverOverNews) {
  ReceiptQueue queue;
  queue.Push(Of("a", 1, 10));
  auto taken = queue.Pop();
  queue.Push(Of("b", 1, 1));
  queue.Push(Of("a", 1, 30));
  queue.Return(*taken);
  EXPECT_EQ(queue.size(), 2U);
  queue.Return(Of("c", 1, 1));
  EXPECT_EQ(queue.Pop()->device_id, "c");
  EXPECT_EQ(queue.Pop()->device_id, "b");
  EXPECT_EQ(queue.Pop()->ranges[0].second, 30U);
}

TEST(ReceiptQueueTest, IsBounded) {
  ReceiptQueue queue(3);
  for (int i = 0; i < 10; ++i) queue.Push(Of(StrCat("d", i), 1, 1));
  EXPECT_EQ(queue.size(), 3U);
  EXPECT_EQ(queue.Pop()->device_id, "d7");
}

}  // namespace
}  // namespace sluice::native
