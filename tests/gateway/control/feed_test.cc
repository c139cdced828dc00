#include "gateway/control/feed.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::control {
namespace {

using IntFeed = Feed<int>;

std::vector<int> Drain(IntFeed::Reader& reader, uint64_t* dropped = nullptr) {
  std::vector<int> all;
  while (auto taken = reader.Next()) {
    all.push_back(taken->entry);
    if (dropped != nullptr) *dropped += taken->dropped;
  }
  return all;
}

TEST(FeedTest, BeginsWithTheNewestAndGoesOn) {
  IntFeed feed({.entries = 10});
  for (int i = 0; i < 5; ++i) feed.Publish(i, 1);
  auto reader = feed.Open(2, nullptr);
  EXPECT_EQ(Drain(*reader), (std::vector<int>{3, 4}));
  feed.Publish(5, 1);
  EXPECT_EQ(Drain(*reader), (std::vector<int>{5}));
}

TEST(FeedTest, WakesOnceForAReaderThatWaits) {
  IntFeed feed({.entries = 10});
  int wakes = 0;
  auto reader = feed.Open(0, [&] { ++wakes; });
  feed.Publish(1, 1);
  EXPECT_EQ(wakes, 0) << "it has not asked yet";
  Drain(*reader);
  feed.Publish(2, 1);
  feed.Publish(3, 1);
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(Drain(*reader), (std::vector<int>{2, 3}));
}

TEST(FeedTest, ForgetsTheOldestAndCountsThemForTheSlowReader) {
  IntFeed feed({.entries = 4});
  auto slow = feed.Open(0, nullptr);
  for (int i = 0; i < 10; ++i) feed.Publish(i, 1);
  auto first = slow->Next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->entry, 6);
  EXPECT_EQ(first->dropped, 6u);
  uint64_t more = 0;
  EXPECT_EQ(Drain(*slow, &more), (std::vector<int>{7, 8, 9}));
  EXPECT_EQ(more, 0u);
}

TEST(FeedTest, BoundsBytesButKeepsTheNewest) {
  IntFeed feed({.entries = 100, .bytes = 10});
  for (int i = 0; i < 5; ++i) feed.Publish(i, 4);
  EXPECT_EQ(Drain(*feed.Open(100, nullptr)), (std::vector<int>{3, 4}));
  feed.Publish(5, 1000);
  EXPECT_EQ(Drain(*feed.Open(100, nullptr)), (std::vector<int>{5}));
}

TEST(FeedTest, FiltersBeforeCountingTheLastAndBeforeWaking) {
  IntFeed feed({.entries = 4});
  int wakes = 0;
  for (int i = 0; i < 4; ++i) feed.Publish(i, 1);
  auto even = feed.Open(1, [&] { ++wakes; }, [](int entry) { return entry % 2 == 0; });
  EXPECT_EQ(Drain(*even), (std::vector<int>{2}));
  for (int i = 0; i < 20; ++i) feed.Publish(2 * i + 1, 1);
  EXPECT_EQ(wakes, 0);
  feed.Publish(4, 1);
  EXPECT_EQ(wakes, 1);
  uint64_t dropped = 0;
  EXPECT_EQ(Drain(*even, &dropped), (std::vector<int>{4}));
  EXPECT_EQ(dropped, 0u) << "what it did not want is not missed";
}

TEST(FeedTest, AReaderMayOutliveTheFeed) {
  std::unique_ptr<IntFeed::Reader> reader;
  {
    IntFeed feed({.entries = 4});
    feed.Publish(1, 1);
    reader = feed.Open(1, nullptr);
  }
  EXPECT_EQ(Drain(*reader), (std::vector<int>{1}));
}

}  // namespace
}  // namespace sluice::control
