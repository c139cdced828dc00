// The judge holds what the cloud says against what was sent: kinds, types, ids, numbers, devices and stock.
#include "tests/judge/planted.h"

namespace sluice::judge {
namespace {

class ContentTest : public PlantedTest {
 protected:
  // Three events that are right: two sales and a telemetry.
  void Three() {
    Send("vm-1", 7, 3);
    Receipt("vm-1", 7, "1-3");
    for (const int seq : {1, 2, 3}) Effect("vm-1", 7, seq);
  }
  void SendOnly(int seq, const std::string& kind, const std::string& detail) {
    Ledger("D\tvm-1\tmqtt\tvending\n");
    SendAs("vm-1", 7, seq, kind, detail);
    Receipt("vm-1", 7, std::to_string(seq) + "-" + std::to_string(seq));
    Effect("vm-1", 7, seq);
  }
};

TEST_F(ContentTest, SeesEventsUnderOneId) {
  Three();
  for (const int seq : {1, 2}) {
    Told("vm-1", 7, seq, "DeviceDataReceived", "the-same");
    Told("vm-1", 7, seq, "StockUpdated", "level-" + std::to_string(seq));
  }
  Told("vm-1", 7, 3, "DeviceDataReceived", "another");
  const Verdict v = Judge();
  EXPECT_EQ(v.shared_ids, 1u);
  EXPECT_EQ(v.missing, 0u);
  EXPECT_FALSE(v.Good());
}

TEST_F(ContentTest, SeesTypesThatTheKindIsNotToldAs) {
  Three();
  for (const int seq : {1, 2, 3}) Event("vm-1", 7, seq);
  EXPECT_TRUE(Judge().Good()) << Judge().ToJson();
  Told("vm-1", 7, 3, "Nonsense", "n");
  Told("vm-1", 7, 3, "StockUpdated", "s");
  const Verdict v = Judge();
  EXPECT_EQ(v.wrong_types, 2u);
  EXPECT_FALSE(v.Good());
}

TEST_F(ContentTest, EachKindHasItsTypes) {
  const struct {
    std::string kind, detail;
    std::vector<std::string> types;
  } cases[] = {{"sale", "2", {"StockUpdated", "DeviceDataReceived"}},  {"refill", "2", {"StockUpdated", "DeviceDataReceived"}},
               {"stock-count", "0", {"StockUpdated", "DeviceDataReceived"}},
               {"price-change", "-", {"DeviceDataReceived"}},            {"telemetry", "-", {"DeviceDataReceived"}},
               {"alarm", "-", {"DeviceDataReceived"}},                   {"command-result", "-", {"DeviceDataReceived"}},
               {"status", "-", {"DeviceStatusUpdated"}},                 {"punch", "in", {"CheckInRecorded"}},
               {"punch", "out", {"CheckOutRecorded"}},                   {"punch", "-", {"DeviceDataReceived"}},
               {"break", "start", {"BreakStarted"}},                     {"break", "end", {"BreakEnded"}}};
  const std::vector<std::string> all = {"StockUpdated",     "DeviceDataReceived", "DeviceStatusUpdated", "CheckInRecorded",
                                        "CheckOutRecorded", "BreakStarted",       "BreakEnded",          "Nonsense"};
  int seq = 0;
  uint64_t wrong = 0, missing = 0;
  for (const auto& one : cases) {
    SendOnly(++seq, one.kind, one.detail);
    for (const std::string& type : one.types) Told("vm-1", 7, seq, type, std::to_string(seq) + type);
  }
  EXPECT_TRUE(Judge().Good()) << Judge().ToJson();
  for (const auto& one : cases) {
    SendOnly(++seq, one.kind, one.detail);
    ++missing;
    for (const std::string& type : all) {
      if (std::find(one.types.begin(), one.types.end(), type) != one.types.end()) continue;
      Told("vm-1", 7, seq, type, std::to_string(seq) + type);
      ++wrong;
    }
  }
  const Verdict v = Judge();
  EXPECT_EQ(v.wrong_types, wrong);
  EXPECT_EQ(v.missing_events, missing);
}

TEST_F(ContentTest, AnOlderLedgerLeavesOpenWhichPunchItWas) {
  Ledger("D\tvm-1\tmqtt\tterminal\nS\tvm-1\t7\t1\tpunch\t1700000000000\t17\n");
  kinds_[1] = "punch";
  Receipt("vm-1", 7, "1-1");
  Effect("vm-1", 7, 1);
  EXPECT_EQ(Judge().missing_events, 1u);
  Told("vm-1", 7, 1, "CheckOutRecorded", "a");
  EXPECT_TRUE(Judge().Good()) << Judge().ToJson();
  Told("vm-1", 7, 1, "BreakEnded", "b");
  EXPECT_EQ(Judge().wrong_types, 1u);
}

TEST_F(ContentTest, SeesAnotherKindThanWasSent) {
  Three();
  for (const int seq : {1, 2, 3}) Event("vm-1", 7, seq);
  effects_[0].kind = "refill";
  const Verdict v = Judge();
  EXPECT_EQ(v.wrong_kinds, 1u);
  EXPECT_FALSE(v.Good());
}

TEST_F(ContentTest, SeesADeviceThatNoLedgerKnows) {
  Three();
  for (const int seq : {1, 2, 3}) Event("vm-1", 7, seq);
  Effect("ghost-1", 7, 1);
  Told("ghost-1", 7, 1, "DeviceDataReceived", "g");
  const Verdict v = Judge();
  EXPECT_EQ(v.foreign, 2u);
  EXPECT_FALSE(v.Good());
  EXPECT_TRUE(v.Good(/*allow_foreign=*/true)) << v.ToJson();
}

TEST_F(ContentTest, SeesANumberThatWasNeverSent) {
  Three();
  for (const int seq : {1, 2, 3}) Event("vm-1", 7, seq);
  Effect("vm-1", 7, 100'004);
  Told("vm-1", 7, 100'004, "DeviceDataReceived", "a");
  const Verdict v = Judge();
  EXPECT_EQ(v.unsent, 2u);
  EXPECT_FALSE(v.Good());
}

class StockTest : public ContentTest {
 protected:
  StockTest() {
    for (const auto& [seq, kind, detail] : {std::tuple(1, "refill", "20"), {2, "sale", "3"}, {3, "stock-count", "15"}, {4, "sale", "1"}}) {
      SendOnly(seq, kind, detail);
      Event("vm-1", 7, seq);
    }
  }
  void Level(int level) { Sql("INSERT INTO stock_levels VALUES('s','cola'," + std::to_string(level) + ");"); }
};

TEST_F(StockTest, AcceptsWhatFollowsFromWhatWasSent) {
  Movement(4, 4, "sale", -1, 14);   // rows come in any order
  Movement(1, 1, "refill", 20, 20);
  Movement(2, 2, "sale", -3, 17);
  Movement(3, 3, "stock_count", -2, 15);
  Level(14);
  EXPECT_TRUE(Judge().Good()) << Judge().ToJson();
}

TEST_F(StockTest, SeesAnotherQuantityThanWasSold) {
  Movement(1, 1, "refill", 20, 20);
  Movement(2, 2, "sale", -300, -280);
  Movement(3, 3, "stock_count", 295, 15);
  Movement(4, 4, "sale", -1, 14);
  Level(14);
  const Verdict v = Judge();
  EXPECT_EQ(v.wrong_stock, 1u);
  EXPECT_FALSE(v.Good());
}

TEST_F(StockTest, SeesALevelThatIsNotWhereItsMovementsEnd) {
  Movement(1, 1, "refill", 20, 20);
  Movement(2, 2, "sale", -3, 17);
  Movement(3, 3, "stock_count", -2, 15);
  Movement(4, 4, "sale", -1, 14);
  Level(999'999);
  Sql("INSERT INTO stock_levels VALUES('s','fanta',1);");
  const Verdict v = Judge();
  EXPECT_EQ(v.wrong_stock, 2u);
  EXPECT_FALSE(v.Good());
}

TEST_F(StockTest, SeesACountThatSetsAnotherLevelAndAJump) {
  Movement(1, 1, "refill", 20, 20);
  Movement(2, 2, "sale", -3, 18);
  Movement(3, 3, "stock_count", -2, 16);
  Movement(4, 4, "sale", -1, 15);
  Level(15);
  EXPECT_EQ(Judge().wrong_stock, 2u);
}

}  // namespace
}  // namespace sluice::judge
