// The judge sees each planted fault, and only that. Order has a file of its own.
#include "tests/judge/planted.h"

namespace sluice::judge {
namespace {

class JudgeTest : public PlantedTest {};

TEST_F(JudgeTest, AcceptsWhatIsRight) {
  Send("vm-1", 7, 9);
  Receipt("vm-1", 7, "1-4");
  Receipt("vm-1", 7, "1-9");
  for (int seq = 1; seq <= 9; ++seq) Both("vm-1", 7, seq);
  const Verdict v = Judge();
  EXPECT_TRUE(v.Good()) << v.ToJson();
  EXPECT_EQ(v.devices, 1u);
  EXPECT_EQ(v.accepted, 9u);
  EXPECT_EQ(v.applied, 9u);
  EXPECT_EQ(v.unnumbered, 3u);
  EXPECT_EQ(v.puback, 9u);
}

TEST_F(JudgeTest, ReadsFilesThatWereSetAsideInTheirOrder) {
  set_aside_every_ = 2;
  Send("vm-1", 7, 60);
  Receipt("vm-1", 7, "1-60");
  for (int seq = 1; seq <= 60; ++seq) Both("vm-1", 7, seq);
  EXPECT_GT(set_aside_["inventory"], 9);
  const Verdict v = Judge();
  EXPECT_TRUE(v.Good()) << v.ToJson();
  EXPECT_EQ(v.applied, 60u);
  std::filesystem::remove(Path("inventory-events.000003.jsonl"));
  EXPECT_FALSE(Judge().Good());
}

TEST_F(JudgeTest, SeesWhatIsDoubledOrOutOfOrderAcrossFiles) {
  Send("vm-1", 7, 3);
  Receipt("vm-1", 7, "1-3");
  for (const int seq : {1, 2, 3}) Effect("vm-1", 7, seq);
  Event("vm-1", 7, 2);
  SetAside("inventory");
  Event("vm-1", 7, 1);
  Event("vm-1", 7, 3);
  EXPECT_EQ(Judge().order_breaks_bus, 1u);
}

TEST_F(JudgeTest, SeesAMissingEffect) {
  Send("vm-1", 7, 3);
  Receipt("vm-1", 7, "1-3");
  Both("vm-1", 7, 1);
  Event("vm-1", 7, 2);
  Both("vm-1", 7, 3);
  const Verdict v = Judge();
  EXPECT_FALSE(v.Good());
  EXPECT_EQ(v.applied, 2u);
  EXPECT_EQ(v.missing, 1u);
  EXPECT_EQ(v.missing_effects, 1u);
  EXPECT_EQ(v.missing_by_kind.at("sale"), 1u);
}

TEST_F(JudgeTest, SeesAnEffectThatTheBusNeverTold) {
  Send("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-2");
  Both("vm-1", 7, 1);
  Effect("vm-1", 7, 2);
  const Verdict v = Judge();
  EXPECT_EQ(v.applied, 2u);
  EXPECT_EQ(v.missing, 1u);
  EXPECT_EQ(v.missing_events, 1u);
  EXPECT_FALSE(v.Good());
}

TEST_F(JudgeTest, SeesThatTheBusToldOnlyHalf) {
  Send("vm-1", 7, 3);
  Receipt("vm-1", 7, "1-3");
  for (int seq : {1, 2, 3}) Effect("vm-1", 7, seq);
  Told("vm-1", 7, 1, "DeviceDataReceived", "a");
  Told("vm-1", 7, 2, "StockUpdated", "b");
  Told("vm-1", 7, 3, "DeviceDataReceived", "c");   // a telemetry: that is all
  const Verdict v = Judge();
  EXPECT_EQ(v.missing_events, 2u);
  EXPECT_EQ(v.missing, 2u);
  EXPECT_FALSE(v.Good());
}

TEST_F(JudgeTest, SeesASecondEffect) {
  Send("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-2");
  Both("vm-1", 7, 1);
  Both("vm-1", 7, 2);
  Effect("vm-1", 7, 1);
  const Verdict v = Judge();
  EXPECT_EQ(v.duplicates, 1u);
  EXPECT_EQ(v.duplicates_store, 1u);
  EXPECT_EQ(v.order_breaks, 0u) << "a second effect is a duplicate, not a break";
  EXPECT_FALSE(v.Good());
}

TEST_F(JudgeTest, TellsASecondEventFromARedelivery) {
  Send("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-2");
  Both("vm-1", 7, 1);
  Both("vm-1", 7, 2);
  Event("vm-1", 7, 1);
  Verdict v = Judge();
  EXPECT_EQ(v.redelivered, 2u);
  EXPECT_TRUE(v.Good()) << v.ToJson();
  Told("vm-1", 7, 1, "StockUpdated", "another-id");
  v = Judge();
  EXPECT_EQ(v.duplicates_bus, 1u);
  EXPECT_FALSE(v.Good());
}

TEST_F(JudgeTest, TornLinesAreCountedAndNotTaken) {
  Send("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-1");
  Ledger("R\tvm-1\t7\t1-");  // killed while writing; the next run begins a new line
  Ledger("\n");
  Ledger("R\tvm-1\t7\t1-2");
  Both("vm-1", 7, 1);
  const Verdict v = Judge();
  EXPECT_EQ(v.accepted, 1u);
  EXPECT_EQ(v.torn_lines, 2u);
  EXPECT_TRUE(v.Good()) << v.ToJson();
}

TEST_F(JudgeTest, CountsWhatOnlyTheBrokerHadApart) {
  Send("vm-1", 7, 4);
  Receipt("vm-1", 7, "1-1");
  Ledger("X\tvm-1\t7\t4\tno such product\n");
  Both("vm-1", 7, 1);
  Both("vm-1", 7, 2);  // applied, though its receipt was not heard
  const Verdict v = Judge();
  EXPECT_EQ(v.accepted, 1u);
  EXPECT_EQ(v.lost_in_broker, 1u);  // 3
  EXPECT_EQ(v.refused, 1u);
  EXPECT_TRUE(v.Good()) << v.ToJson();
}

TEST_F(JudgeTest, SeesAReceiptForWhatWasNeverSent) {
  Send("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-5");
  Receipt("vm-1", 7, "1-18446744073709551615");
  Both("vm-1", 7, 1);
  Both("vm-1", 7, 2);
  const Verdict v = Judge();
  EXPECT_EQ(v.accepted, 2u);
  EXPECT_EQ(v.named_unsent, UINT64_MAX - 2);
  EXPECT_FALSE(v.Good());
}

TEST_F(JudgeTest, SeesAnEffectInTheWrongQueue) {
  Send("vm-1", 7, 1);
  Receipt("vm-1", 7, "1-1");
  effects_.push_back({1, "shop-bulk", "vm-1", 7, 1, "sale"});
  Event("vm-1", 7, 1);
  EXPECT_EQ(Judge().misplaced, 1u);
}

TEST_F(JudgeTest, APubackOfTheListenerIsTheGatewaysAnswer) {
  Ledger("D\tvm-1\tlistener\tvending\n");
  for (int seq = 1; seq <= 5; ++seq) SendOne("vm-1", 7, seq);
  for (int seq = 1; seq <= 4; ++seq) Puback("vm-1", 7, seq);
  for (int seq : {1, 2, 3}) Both("vm-1", 7, seq);
  const Verdict v = Judge();
  EXPECT_EQ(v.accepted, 4u);
  EXPECT_EQ(v.applied, 3u);
  EXPECT_EQ(v.missing, 1u) << "4 was acknowledged";
  EXPECT_EQ(v.open, 1u) << "5 was not";
  EXPECT_EQ(v.lost_in_broker, 0u) << "there is none";
  EXPECT_FALSE(v.Good());
}

TEST_F(JudgeTest, ABrokersPubackBesideTheListenerStaysNoAnswer) {
  Ledger("D\tvm-1\tlistener\tvending\n");
  SendOne("vm-1", 7, 1);
  Puback("vm-1", 7, 1);
  Both("vm-1", 7, 1);
  Send("vm-2", 7, 1);
  const Verdict v = Judge();
  EXPECT_EQ(v.devices, 2u);
  EXPECT_EQ(v.accepted, 1u);
  EXPECT_EQ(v.lost_in_broker, 1u);
  EXPECT_TRUE(v.Good()) << v.ToJson();
}

TEST_F(JudgeTest, ADeviceThatMovesToTheListenerIsAnsweredByPubackFromThenOn) {
  Send("vm-1", 7, 2);
  Ledger("D\tvm-1\tlistener\tvending\n");
  SendOne("vm-1", 8, 1);
  Puback("vm-1", 8, 1);
  const Verdict v = Judge();
  EXPECT_EQ(v.accepted, 1u);
  EXPECT_EQ(v.missing, 1u);
  EXPECT_EQ(v.lost_in_broker, 2u);
}

TEST_F(JudgeTest, SeesAPubackForWhatWasNeverSent) {
  Ledger("D\tvm-1\tlistener\tvending\n");
  SendOne("vm-1", 7, 1);
  Puback("vm-1", 7, 1);
  Puback("vm-1", 7, 2);
  Both("vm-1", 7, 1);
  const Verdict v = Judge();
  EXPECT_EQ(v.named_unsent, 1u);
  EXPECT_FALSE(v.Good());
}

TEST_F(JudgeTest, WhatTheListenerRefusedIsNotMissing) {
  Ledger("D\tvm-1\tlistener\tvending\n");
  for (int seq : {1, 2}) SendOne("vm-1", 7, seq);
  Puback("vm-1", 7, 1);
  Ledger("X\tvm-1\t7\t2\tpayload format invalid (0x99)\n");
  Both("vm-1", 7, 1);
  const Verdict v = Judge();
  EXPECT_EQ(v.refused, 1u);
  EXPECT_EQ(v.open, 0u);
  EXPECT_TRUE(v.Good()) << v.ToJson();
}

TEST_F(JudgeTest, WildNumbersDoNotEatTheMemory) {
  Send("vm-1", 7, 1);
  Receipt("vm-1", 7, "1-1");
  Both("vm-1", 7, 1);
  Ledger("S\tvm-1\t7\t9000000000000000000\tsale\t1\nS\tvm-1\t9000000000000000000\t5\tsale\t1\n");
  Receipt("vm-1", 7, "1-1,9000000000000000000-9000000000000000000");
  const Verdict v = Judge();
  EXPECT_EQ(v.accepted, 2u);
  EXPECT_EQ(v.missing, 1u);
}

}  // namespace
}  // namespace sluice::judge
