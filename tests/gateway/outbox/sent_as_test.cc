#include "gateway/outbox/sent_as.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sluice::outbox {
namespace {

EpochId Id(uint8_t n) {
  EpochId id;
  id.bytes[0] = n;
  return id;
}

// "1:1-10 2:11-": epoch and stored numbers of each part.
std::string Shape(const SentAs& sent_as) {
  std::string out;
  for (const SentPart& part : sent_as.parts()) {
    out += StrCat(out.empty() ? "" : " ", static_cast<int>(part.epoch.bytes[0]), ":", part.first, "-");
    if (part.last != UINT64_MAX) out += StrCat(part.last);
  }
  return out;
}

TEST(SentAsTest, IsTheStoredEpochUntilItIsCut) {
  const SentAs sent_as(Id(1));
  EXPECT_EQ(Shape(sent_as), "1:1-");
  ASSERT_TRUE(sent_as.Find(Id(1)));
  EXPECT_EQ(sent_as.Find(Id(1))->ToSent(7), 7u);
  EXPECT_FALSE(sent_as.Find(Id(2)));
}

TEST(SentAsTest, ACutGivesWhatFollowsFreshNumbersFromOne) {
  SentAs sent_as(Id(1));
  sent_as.Cut(11, Id(2));
  EXPECT_EQ(Shape(sent_as), "1:1-10 2:11-");
  EXPECT_EQ(sent_as.Find(Id(2))->ToSent(11), 1u);
  EXPECT_EQ(sent_as.Find(Id(2))->ToStored(5), 15u);
  EXPECT_EQ(sent_as.Of(10).epoch, Id(1));
  EXPECT_EQ(sent_as.Of(11).epoch, Id(2));
  sent_as.Cut(21, Id(3));
  EXPECT_EQ(Shape(sent_as), "1:1-10 2:11-20 3:21-");
  EXPECT_EQ(sent_as.Of(20).epoch, Id(2));
  EXPECT_EQ(sent_as.Of(1'000'000).epoch, Id(3));
}

TEST(SentAsTest, ACutInTheMiddleEndsWhereItsPartDid) {
  SentAs sent_as(Id(1));
  sent_as.Cut(11, Id(2));
  sent_as.Cut(5, Id(3));
  EXPECT_EQ(Shape(sent_as), "1:1-4 3:5-10 2:11-");
}

TEST(SentAsTest, APartOfWhichNothingIsLeftIsForgotten) {
  SentAs sent_as(Id(1));
  sent_as.Cut(11, Id(2));
  for (uint8_t n = 3; n < 200; ++n) sent_as.Cut(11, Id(n));
  EXPECT_EQ(Shape(sent_as), "1:1-10 199:11-");
  sent_as.Cut(1, Id(200));
  EXPECT_EQ(Shape(sent_as), "200:1-10 199:11-");
}

TEST(SentAsTest, NumbersBeyondCountingStayBeyond) {
  SentAs sent_as(Id(1));
  sent_as.Cut(11, Id(2));
  EXPECT_EQ(sent_as.Find(Id(2))->ToStored(UINT64_MAX - 5), UINT64_MAX);
  EXPECT_EQ(sent_as.Find(Id(2))->ToStored(0), 10u);
}

}  // namespace
}  // namespace sluice::outbox
