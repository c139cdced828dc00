#include "devices/sim/open_events.h"

#include <gtest/gtest.h>

namespace sluice::sim {
namespace {

OpenEvents Filled(uint64_t boot, uint64_t count) {
  OpenEvents open;
  for (uint64_t seq = 1; seq <= count; ++seq) open.Add({.boot = boot, .seq = seq});
  return open;
}

std::vector<uint64_t> SendAll(OpenEvents& open) {
  std::vector<uint64_t> sent;
  while (OpenEvent* event = open.Next()) {
    sent.push_back(event->seq);
    open.Sent();
  }
  return sent;
}

using Numbers = std::vector<uint64_t>;

TEST(OpenEventsTest, SendsInOrderAndEachOnce) {
  OpenEvents open = Filled(1, 3);
  EXPECT_EQ(SendAll(open), (Numbers{1, 2, 3}));
  EXPECT_EQ(open.Next(), nullptr);
  EXPECT_EQ(open.size(), 3u);
}

TEST(OpenEventsTest, GoesBackToTheLowestOpenNumber) {
  OpenEvents open = Filled(1, 5);
  SendAll(open);
  EXPECT_EQ(open.Close({.boot = 1, .ranges = {{1, 2}}}).closed, 2u);
  open.GoBack();
  EXPECT_EQ(SendAll(open), (Numbers{3, 4, 5}));
}

TEST(OpenEventsTest, NeverSendsAgainWhatAReceiptNames) {
  OpenEvents open = Filled(1, 5);
  SendAll(open);
  open.Close({.boot = 1, .ranges = {{1, 1}, {4, 4}}});
  open.GoBack();
  EXPECT_EQ(SendAll(open), (Numbers{2, 3, 5}));
  EXPECT_EQ(open.size(), 3u);
}

TEST(OpenEventsTest, AReceiptDuringGoingBackIsHeeded) {
  OpenEvents open = Filled(1, 4);
  SendAll(open);
  open.GoBack();
  EXPECT_EQ(open.Next()->seq, 1u);
  open.Sent();
  open.Close({.boot = 1, .ranges = {{1, 3}}});
  EXPECT_EQ(SendAll(open), (Numbers{4}));
}

TEST(OpenEventsTest, CumulativeReceiptsCloseOnce) {
  OpenEvents open = Filled(1, 4);
  SendAll(open);
  EXPECT_EQ(open.Close({.boot = 1, .ranges = {{1, 3}}}).closed, 3u);
  EXPECT_EQ(open.Close({.boot = 1, .ranges = {{1, 4}}}).closed, 1u);
  EXPECT_EQ(open.Close({.boot = 1, .ranges = {{1, 4}}}).closed, 0u);
  EXPECT_TRUE(open.empty());
}

TEST(OpenEventsTest, RefusedIsClosedAndNamed) {
  OpenEvents open = Filled(1, 2);
  SendAll(open);
  const auto change = open.Close({.boot = 1, .refused = {{2, "no such product"}, {9, "never sent"}}});
  ASSERT_EQ(change.refused.size(), 1u);
  EXPECT_EQ(change.refused[0].first.seq, 2u);
  EXPECT_EQ(change.refused[0].second, "no such product");
  EXPECT_EQ(change.closed, 0u);
  EXPECT_EQ(open.size(), 1u);
}

TEST(OpenEventsTest, BootsAreApart) {
  OpenEvents open = Filled(1, 2);
  open.Add({.boot = 2, .seq = 1});
  SendAll(open);
  EXPECT_EQ(open.Close({.boot = 2, .ranges = {{1, 5}}}).closed, 1u);
  open.GoBack();
  EXPECT_EQ(SendAll(open), (Numbers{1, 2}));
  EXPECT_TRUE(open.CloseOne(1, 1));
  EXPECT_FALSE(open.CloseOne(1, 1));
  EXPECT_FALSE(open.CloseOne(3, 1));
  EXPECT_EQ(open.size(), 1u);
}

}  // namespace
}  // namespace sluice::sim
