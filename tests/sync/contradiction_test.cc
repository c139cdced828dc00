#include "sync/contradiction.h"

#include <gtest/gtest.h>

namespace sluice::sync {
namespace {

const EventId kOurs = *EventId::FromBytes(std::string(16, 'o'));
const std::string kSame(16, 'o');
const std::string kOther(16, 'x');

OurSide Ours(uint64_t trusted_to, uint64_t last) {
  OurSide ours;
  ours.running = true;
  ours.last = last;
  ours.trusted_to = trusted_to;
  ours.id = kOurs;
  return ours;
}

TEST(ContradictionTest, OurOwnEventAtTheCursorIsNone) {
  EXPECT_FALSE(FindContradiction(Ours(3, 10), 7, kSame));
  EXPECT_FALSE(FindContradiction(Ours(7, 10), 7, kSame));
}

TEST(ContradictionTest, NothingAtAllIsNone) { EXPECT_FALSE(FindContradiction(Ours(0, 10), 0, "")); }

TEST(ContradictionTest, AnotherEventAtTheCursorIsOne) {
  const auto found = FindContradiction(Ours(3, 10), 7, kOther);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->alarm, Alarm::kCloned);
  EXPECT_NE(found->text.find(kOurs.ToUuid()), std::string::npos);
  EXPECT_TRUE(FindContradiction(Ours(7, 10), 7, kOther)) << "also where it acknowledged ours: it was restored since";
}

TEST(ContradictionTest, WhatIsNotHeldCannotBeCompared) {
  OurSide ours = Ours(3, 10);
  ours.id.reset();
  EXPECT_FALSE(FindContradiction(ours, 7, kOther));
  EXPECT_FALSE(FindContradiction(ours, 7, ""));
}

TEST(ContradictionTest, ANumberAboveOurLastIsOneInTheRunningEpochAlone) {
  OurSide ours = Ours(3, 10);
  ours.id.reset();
  const auto found = FindContradiction(ours, 11, kOther);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->alarm, Alarm::kAckBeyondSent);
  ours.running = false;
  EXPECT_FALSE(FindContradiction(ours, 11, kOther)) << "our unsynced tail";
}

TEST(ContradictionTest, AGapWhereWeHoldAnEventIsOneUntilItIsAcknowledged) {
  EXPECT_TRUE(FindContradiction(Ours(3, 10), 7, ""));
  EXPECT_FALSE(FindContradiction(Ours(7, 10), 7, ""));
}

}  // namespace
}  // namespace sluice::sync
