// Plants ledgers, stores and bus files and proves that the judge sees each fault, and only that.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "tests/judge/readers.h"

namespace sluice::judge {
namespace {

class JudgeTest : public testing::Test {
 protected:
  struct Planted {
    int position;
    std::string queue, device;
    int boot, seq;
    std::string kind;
  };

  JudgeTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "judge-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~JudgeTest() override { std::filesystem::remove_all(folder_); }

  // Sent, acknowledged by the broker; 1 to `count`, all sales but each third, which is a telemetry.
  void Send(const std::string& device, int boot, int count) {
    Ledger("D\t" + device + "\tmqtt\tvending\n");
    for (int seq = 1; seq <= count; ++seq) {
      SendOne(device, boot, seq);
      Puback(device, boot, seq);
    }
  }
  void SendOne(const std::string& device, int boot, int seq) {
    Ledger("S\t" + device + "\t" + std::to_string(boot) + "\t" + std::to_string(seq) + "\t" + KindAt(seq) + "\t1700000000000\t17\n");
  }
  void Puback(const std::string& device, int boot, int seq) {
    Ledger("P\t" + device + "\t" + std::to_string(boot) + "\t" + std::to_string(seq) + "\n");
  }
  void Resend(const std::string& device, int boot, int seq) {
    Ledger("S\t" + device + "\t" + std::to_string(boot) + "\t" + std::to_string(seq) + "\t" + KindAt(seq) + "\t1700000000001\t17\n");
  }
  // The broker told that the newest sending reached nobody.
  void Unheard(const std::string& device, int boot, int seq) {
    Ledger("N\t" + device + "\t" + std::to_string(boot) + "\t" + std::to_string(seq) + "\n");
  }
  void Receipt(const std::string& device, int boot, const std::string& ranges) {
    Ledger("R\t" + device + "\t" + std::to_string(boot) + "\t" + ranges + "\n");
  }
  void Ledger(const std::string& text) { std::ofstream(Path("ledger.tsv"), std::ios::app) << text; }

  static std::string KindAt(int seq) { return seq % 3 == 0 ? "telemetry" : "sale"; }
  static std::string QueueAt(int seq) { return seq % 3 == 0 ? "shop-bulk" : "inventory"; }

  void Effect(const std::string& device, int boot, int seq) {
    effects_.push_back({++position_, QueueAt(seq), device, boot, seq, KindAt(seq)});
  }
  // All that the bus tells of it.
  void Event(const std::string& device, int boot, int seq) {
    const std::string id = device + std::to_string(boot) + "." + std::to_string(seq);
    Told(device, boot, seq, "DeviceDataReceived", id + "d");
    if (seq % 3 != 0) Told(device, boot, seq, "StockUpdated", id + "s");
  }
  void Told(const std::string& device, int boot, int seq, const std::string& type, const std::string& id) {
    const std::string service = seq % 3 == 0 ? "shop" : "inventory";
    const std::string origin = R"({"gatewayId":"g","deviceId":")" + device + R"(","boot":)" + std::to_string(boot) +
                               R"(,"seq":)" + std::to_string(seq) + R"(,"kind":")" + KindAt(seq) + "\"}";
    std::ofstream(Path(service + "-events.jsonl"), std::ios::app)
        << R"({"eventId":")" << id << R"(","eventType":")" << type
        << R"(","eventVersion":"1.0","timestamp":1.5,"data":{"x":{"boot":99},"origin":)" << origin
        << R"(,"shopId":"s"}})" << "\n";
  }
  void Both(const std::string& device, int boot, int seq) {
    Effect(device, boot, seq);
    Event(device, boot, seq);
  }

  Verdict Judge() {
    Store("shop", {"shop-bulk", "shop-urgent"});
    Store("inventory", {"inventory"});
    Tally tally;
    std::string error;
    EXPECT_TRUE(ReadLedger(Path("ledger.tsv"), tally, error)) << error;
    for (const char* service : {"shop", "inventory", "attendance"}) {
      EXPECT_TRUE(ReadStore(Path(std::string(service) + ".db"), tally, error)) << error;
      EXPECT_TRUE(ReadBus(Path(std::string(service) + "-events.jsonl"), tally, error)) << error;
    }
    return tally.Judge(100);
  }

  void Store(const std::string& service, const std::vector<std::string>& queues) {
    std::filesystem::remove(Path(service + ".db"));
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(Path(service + ".db").c_str(), &db), SQLITE_OK);
    std::string sql =
        "CREATE TABLE e(position, queue, device_id, boot, seq, kind, event_id);"
        "CREATE VIEW effects AS SELECT * FROM e;CREATE TABLE dead_letters(gateway, reason);BEGIN;";
    for (const Planted& one : effects_) {
      if (std::find(queues.begin(), queues.end(), one.queue) == queues.end()) continue;
      sql += "INSERT INTO e VALUES(" + std::to_string(one.position) + ",'" + one.queue + "','" + one.device + "'," +
             std::to_string(one.boot) + "," + std::to_string(one.seq) + ",'" + one.kind + "','id');";
    }
    sql += "INSERT INTO e VALUES(1000000,'" + queues[0] + "','vm-1',NULL,NULL,'status','will');COMMIT;";
    ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  std::vector<Planted> effects_;
  int position_ = 0;
};

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
  EXPECT_EQ(v.unnumbered, 2u);
  EXPECT_EQ(v.puback, 9u);
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

TEST_F(JudgeTest, SeesBrokenOrderInStoreAndOnBus) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 5, 2, 4, 3}) Both("vm-1", 7, seq);  // 3 is alone in its queue
  const Verdict v = Judge();
  EXPECT_EQ(v.order_breaks_store, 2u);
  EXPECT_EQ(v.order_breaks_bus, 2u);
  EXPECT_EQ(v.order_breaks, 4u);
  EXPECT_FALSE(v.Good());
}

TEST_F(JudgeTest, ExcusesWhatWasLateAtItsSource) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-1,4-4");  // the broker dropped 2
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 2, 5, 3}) Both("vm-1", 7, seq);
  const Verdict v = Judge();
  EXPECT_EQ(v.order_breaks, 0u);
  EXPECT_EQ(v.late, 2u);  // in the store and on the bus
  EXPECT_TRUE(v.Good()) << v.ToJson();
}

TEST_F(JudgeTest, OneHigherNumberThatWasNotNamedBeforeIsEnoughForABreak) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-1,4-4");
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 5, 2, 3}) Both("vm-1", 7, seq);  // 5 was named together with 2
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(JudgeTest, WhatWasSentAgainAfterAHoleWasSeenMayFollowAllThatWasSentBeforeIt) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-1,4-4");  // the gateway lacks 2
  Resend("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 5, 2, 3}) Both("vm-1", 7, seq);
  Verdict v = Judge();
  EXPECT_TRUE(v.Good()) << v.ToJson();
  EXPECT_EQ(v.late, 2u);
}

TEST_F(JudgeTest, WhatWasSentAgainWithoutAHoleIsNoExcuse) {
  Send("vm-1", 7, 5);
  Resend("vm-1", 7, 2);           // impatient: no receipt at all yet
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 5, 2, 3}) Both("vm-1", 7, seq);
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(JudgeTest, ARepetitionThatWasLostTooDoesNotEndTheExcuse) {
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

TEST_F(JudgeTest, AReceiptProvesNothingOfWhatWasSentAfterAllThatItNames) {
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

TEST_F(JudgeTest, AHoleMayBeToldAfterTheRepetitionHasLeft) {
  Send("vm-1", 7, 5);
  Resend("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-1,4-4");
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 5, 2, 3}) Both("vm-1", 7, seq);
  const Verdict v = Judge();
  EXPECT_TRUE(v.Good()) << v.ToJson();
  EXPECT_EQ(v.late, 2u);
}

TEST_F(JudgeTest, AHoleInAnotherQueueIsNoProof) {
  Send("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-1,3-3");      // telemetry
  Resend("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-5");
  for (int seq : {1, 4, 5, 2, 3}) Both("vm-1", 7, seq);
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(JudgeTest, ASendingThatReachedNobodyDidNotArrive) {
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

TEST_F(JudgeTest, WhatWasSentAfterTheRepetitionThatArrivedMustFollowIt) {
  Send("vm-1", 7, 2);
  Unheard("vm-1", 7, 2);
  Resend("vm-1", 7, 4);
  Resend("vm-1", 7, 2);
  Resend("vm-1", 7, 5);
  Receipt("vm-1", 7, "1-2,4-5");
  for (int seq : {1, 4, 5, 2}) Both("vm-1", 7, seq);
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(JudgeTest, OnlyTheNewestSendingReachedNobody) {
  Send("vm-1", 7, 2);
  Resend("vm-1", 7, 4);
  Resend("vm-1", 7, 5);
  Resend("vm-1", 7, 2);
  Unheard("vm-1", 7, 2);
  Receipt("vm-1", 7, "1-2,4-5");
  for (int seq : {1, 4, 5, 2}) Both("vm-1", 7, seq);
  EXPECT_EQ(Judge().order_breaks_store, 1u) << "the first sending of 2 may have arrived";
}

TEST_F(JudgeTest, TheHigherOneIsHeldToItsOwnArrivalToo) {
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

TEST_F(JudgeTest, AReceiptSaysNothingOfAnotherBoot) {
  Send("vm-1", 7, 2);
  Send("vm-1", 8, 1);
  Receipt("vm-1", 8, "1-1");
  Receipt("vm-1", 7, "1-2");
  Effect("vm-1", 7, 1);
  Effect("vm-1", 8, 1);
  Effect("vm-1", 7, 2);
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(JudgeTest, ABootIsHigherThanTheWholeBootBefore) {
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

TEST_F(JudgeTest, OrderOnTheListenerIsThatOfThePubacks) {
  Ledger("D\tvm-1\tlistener\tvending\n");
  for (int seq = 1; seq <= 5; ++seq) SendOne("vm-1", 7, seq);
  for (int seq = 1; seq <= 5; ++seq) Puback("vm-1", 7, seq);
  for (int seq : {1, 4, 2, 5, 3}) Both("vm-1", 7, seq);  // 3 is alone in its queue
  EXPECT_EQ(Judge().order_breaks_store, 1u);
}

TEST_F(JudgeTest, OnTheListenerTooWhatWasRefusedForNowMayFollowLater) {
  Ledger("D\tvm-1\tlistener\tvending\n");
  for (int seq : {1, 2, 4}) SendOne("vm-1", 7, seq);
  for (int seq : {1, 4, 2}) Puback("vm-1", 7, seq);  // 2 had no room, and came again
  for (int seq : {1, 4, 2}) Both("vm-1", 7, seq);
  const Verdict v = Judge();
  EXPECT_EQ(v.late, 2u);
  EXPECT_TRUE(v.Good()) << v.ToJson();
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
