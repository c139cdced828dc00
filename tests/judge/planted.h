// Plants ledgers, stores and bus files, and judges them.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "tests/judge/readers.h"

namespace sluice::judge {

class PlantedTest : public testing::Test {
 protected:
  struct Planted {
    int position;
    std::string queue, device;
    int boot, seq;
    std::string kind;
  };

  PlantedTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "judge-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~PlantedTest() override { std::filesystem::remove_all(folder_); }

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

  // With what the ledger knows of it beside the kind.
  void SendAs(const std::string& device, int boot, int seq, const std::string& kind, const std::string& detail) {
    Ledger("S\t" + device + "\t" + std::to_string(boot) + "\t" + std::to_string(seq) + "\t" + kind +
           "\t1700000000000\t17\t" + detail + "\n");
    kinds_[seq] = kind;
  }
  // SQL against the inventory's store, after all else is planted.
  void Sql(const std::string& sql) { sql_ += sql; }
  void Movement(int position, int seq, const std::string& kind, int change, int level) {
    Sql("INSERT INTO stock_movements VALUES(" + std::to_string(position) + ",'s','cola','vm-1',7," + std::to_string(seq) + ",'" + kind +
        "'," + std::to_string(change) + "," + std::to_string(level) + ");");
  }

  std::string KindAt(int seq) const {
    const auto set = kinds_.find(seq);
    return set != kinds_.end() ? set->second : KindBySeq(seq);
  }
  std::string QueueAt(int seq) const {
    const std::string kind = KindAt(seq);
    if (kind == "punch" || kind == "break") return "attendance";
    if (kind == "alarm" || kind == "command-result") return "shop-urgent";
    return kind == "telemetry" || kind == "status" ? "shop-bulk" : "inventory";
  }
  static std::string KindBySeq(int seq) { return seq % 3 == 0 ? "telemetry" : "sale"; }
  void Effect(const std::string& device, int boot, int seq) {
    effects_.push_back({++position_, QueueAt(seq), device, boot, seq, KindAt(seq)});
  }
  // All that the bus tells of it.
  void Event(const std::string& device, int boot, int seq) {
    const std::string id = device + std::to_string(boot) + "." + std::to_string(seq);
    Told(device, boot, seq, "DeviceDataReceived", id + "d");
    const std::string kind = KindAt(seq);
    if (kind == "sale" || kind == "refill" || kind == "stock-count") Told(device, boot, seq, "StockUpdated", id + "s");
  }
  // As the cloud does with a file that has its size.
  void SetAside(const std::string& service) {
    const std::string number = std::to_string(++set_aside_[service]);
    const std::string name = service + "-events." + std::string(6 - number.size(), '0') + number + ".jsonl";
    if (std::filesystem::exists(Path(service + "-events.jsonl"))) {
      std::filesystem::rename(Path(service + "-events.jsonl"), Path(name));
    }
  }
  void Told(const std::string& device, int boot, int seq, const std::string& type, const std::string& id) {
    const std::string queue = QueueAt(seq);
    const std::string service = queue == "inventory" || queue == "attendance" ? queue : "shop";
    if (set_aside_every_ > 0 && ++told_ % set_aside_every_ == 0) SetAside(service);
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
    Store("attendance", {"attendance"});
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
    if (service == "inventory" && !sql_.empty()) {
      sql += "CREATE TABLE stock_movements(position, shop_id, product_id, device_id, boot, seq, kind, change, level);"
             "CREATE TABLE stock_levels(shop_id, product_id, level);" + sql_;
    }
    ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  std::vector<Planted> effects_;
  std::map<int, std::string> kinds_;   // of SendAs, by seq
  std::string sql_;
  int position_ = 0;
  int set_aside_every_ = 0;   // events; 0: never
  int told_ = 0;
  std::map<std::string, int> set_aside_;
};

}  // namespace sluice::judge
