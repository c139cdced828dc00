// What is late and what is a break: the rule of order.h, case by case.
#include "tests/judge/planted.h"

namespace sluice::judge {
namespace {

class OrderTest : public PlantedTest {};

TEST_F(OrderTest, SeesBrokenOrderInStoreAndOnBus) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 5, 2, 4, 3}) Both("vm-1", 7, seq);  // 3 is alone in its queue
  const Verdict v = Judge();
  EXPECT_EQ(v.order_breaks_store, 2u);
  EXPECT_EQ(v.order_breaks_bus, 2u);
  EXPECT_EQ(v.order_breaks, 4u);
  EXPECT_FALSE(v.Good());
}

TEST_F(OrderTest, ExcusesWhatWasLateAtItsSource) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-1,4-4");  // the broker dropped 2
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 2, 5, 3}) Both("vm-1", 7, seq);
  const Verdict v = Judge();
  EXPECT_EQ(v.order_breaks, 0u);
  EXPECT_EQ(v.late, 2u);  // in the store and on the bus
  EXPECT_TRUE(v.Good()) << v.ToJson();
}

TEST_F(OrderTest, OneHigherNumberThatWasNotNamedBeforeIsEnoughForABreak) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-1,4-4");
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 5, 2, 3}) Both("vm-1", 7, seq);  // 5 was named together with 2
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(OrderTest, WhatWasSentAgainAfterAHoleWasSeenMayFollowAllThatWasSentBeforeIt) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-1,4-4");  // the gateway lacks 2
  Resend("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 5, 2, 3}) Both("vm-1", 7, seq);
  Verdict v = Judge();
  EXPECT_TRUE(v.Good()) << v.ToJson();
  EXPECT_EQ(v.late, 2u);
}

TEST_F(OrderTest, WhatWasSentAgainWithoutAHoleIsNoExcuse) {
  Send("vm-1", 7, 5);
  Resend("vm-1", 7, 2);           // impatient: no receipt at all yet
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 5, 2, 3}) Both("vm-1", 7, seq);
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(OrderTest, ARepetitionThatWasLostTooDoesNotEndTheExcuse) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-1,4-5");      // the gateway lacks 2
  Resend("vm-1", 7, 2);
  Resend("vm-1", 7, 7);
  Receipt("vm-1", 7, "1-1,4-5,7-7");  // it has what was sent after the repetition, and still lacks 2
  Resend("vm-1", 7, 8);
  Resend("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-2,4-5,7-8");
  for (int seq : {1, 4, 5, 7, 8, 2}) Both("vm-1", 7, seq);
  const Verdict v = Judge();
  EXPECT_TRUE(v.Good()) << v.ToJson();
  EXPECT_EQ(v.late, 2u);
}

TEST_F(OrderTest, AReceiptProvesNothingOfWhatWasSentAfterAllThatItNames) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-1,4-4");
  Resend("vm-1", 7, 2);
  Resend("vm-1", 7, 7);
  Receipt("vm-1", 7, "1-1,4-5");      // 5 left before the repetition, which may have arrived
  Resend("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-2,4-5,7-7");
  for (int seq : {1, 4, 5, 7, 2}) Both("vm-1", 7, seq);
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(OrderTest, AHoleMayBeToldAfterTheRepetitionHasLeft) {
  Send("vm-1", 7, 5);
  Resend("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-1,4-4");
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 5, 2, 3}) Both("vm-1", 7, seq);
  const Verdict v = Judge();
  EXPECT_TRUE(v.Good()) << v.ToJson();
  EXPECT_EQ(v.late, 2u);
}

TEST_F(OrderTest, AHoleInAnotherQueueIsNoProof) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-1,3-3");      // telemetry
  Resend("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 5, 2, 3}) Both("vm-1", 7, seq);
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(OrderTest, ASendingThatReachedNobodyDidNotArrive) {
  Send("vm-1", 7, 2);
  Unheard("vm-1", 7, 2);              // no session at the broker
  Resend("vm-1", 7, 4);
  Resend("vm-1", 7, 5);
  Resend("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-2,4-5");      // the first that was heard names them all
  for (int seq : {1, 4, 5, 2}) Both("vm-1", 7, seq);
  const Verdict v = Judge();
  EXPECT_TRUE(v.Good()) << v.ToJson();
  EXPECT_EQ(v.late, 2u);
}

TEST_F(OrderTest, WhatWasSentAfterTheRepetitionThatArrivedMustFollowIt) {
  Send("vm-1", 7, 2);
  Unheard("vm-1", 7, 2);
  Resend("vm-1", 7, 4);
  Resend("vm-1", 7, 2);
  Resend("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-2,4-5");
  for (int seq : {1, 4, 5, 2}) Both("vm-1", 7, seq);
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(OrderTest, OnlyTheNewestSendingReachedNobody) {
  Send("vm-1", 7, 2);
  Resend("vm-1", 7, 4);
  Resend("vm-1", 7, 5);
  Resend("vm-1", 7, 2);
  Unheard("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-2,4-5");
  for (int seq : {1, 4, 5, 2}) Both("vm-1", 7, seq);
  EXPECT_EQ(Judge().order_breaks_store, 1u) << "the first sending of 2 may have arrived";
}

TEST_F(OrderTest, TheHigherOneIsHeldToItsOwnArrivalToo) {
  Send("vm-1", 7, 2);
  Unheard("vm-1", 7, 2);
  Resend("vm-1", 7, 4);
  Unheard("vm-1", 7, 4);
  Resend("vm-1", 7, 2);
  Resend("vm-1", 7, 4);
  Receipt("vm-1", 7, "1-2,4-4");
  for (int seq : {1, 4, 2}) Both("vm-1", 7, seq);
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(OrderTest, AReceiptSaysNothingOfAnotherBoot) {
  Send("vm-1", 7, 2);
  Send("vm-1", 8, 1);
  Receipt("vm-1", 8, "1-1");
  Receipt("vm-1", 7, "1-2");
  Effect("vm-1", 7, 1);
  Effect("vm-1", 8, 1);
  Effect("vm-1", 7, 2);
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(OrderTest, ABootIsHigherThanTheWholeBootBefore) {
  Send("vm-1", 7, 2);
  Send("vm-1", 8, 2);
  Receipt("vm-1", 7, "1-2");
  Receipt("vm-1", 8, "1-2");
  Both("vm-1", 7, 1);
  Both("vm-1", 7, 2);
  Both("vm-1", 8, 1);
  Both("vm-1", 8, 2);
  Verdict v = Judge();
  EXPECT_TRUE(v.Good()) << v.ToJson();
  EXPECT_EQ(v.accepted, 4u);
  effects_.clear();
  for (auto [boot, seq] : {std::pair{8, 1}, {7, 1}, {7, 2}, {8, 2}}) Effect("vm-1", boot, seq);
  v = Judge();
  EXPECT_EQ(v.order_breaks_store, 2u);
}

TEST_F(OrderTest, OrderOnTheListenerIsThatOfThePubacks) {
  Ledger("D\tvm-1\tlistener\tvending\n");
  for (int seq = 1; seq <= 5; ++seq) SendOne("vm-1", 7, seq);
  for (int seq = 1; seq <= 5; ++seq) Puback("vm-1", 7, seq);
  for (int seq : {1, 4, 2, 5, 3}) Both("vm-1", 7, seq);  // 3 is alone in its queue
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(OrderTest, OnTheListenerTooWhatWasRefusedForNowMayFollowLater) {
  Ledger("D\tvm-1\tlistener\tvending\n");
  for (int seq : {1, 2, 4}) SendOne("vm-1", 7, seq);
  for (int seq : {1, 4, 2}) Puback("vm-1", 7, seq);  // 2 had no room, and came again
  for (int seq : {1, 4, 2}) Both("vm-1", 7, seq);
  const Verdict v = Judge();
  EXPECT_EQ(v.late, 2u);
  EXPECT_TRUE(v.Good()) << v.ToJson();
}

}  // namespace
}  // namespace sluice::judge
