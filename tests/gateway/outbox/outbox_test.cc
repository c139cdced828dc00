// The outbox over a real journal: memory, database and segments must answer as one list (delivery rules R6, R7).
#include "gateway/outbox/outbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/file.h"
#include "base/random.h"
#include "base/sqlite.h"
#include "base/strings.h"
#include "tests/fakes/temp_folder.h"

namespace sluice::outbox {
namespace {

EventId IdOf(uint64_t n) {
  EventId id;
  for (int i = 0; i < 8; ++i) id.bytes[i] = static_cast<uint8_t>(n >> (8 * i));
  id.bytes[15] = 1;
  return id;
}

std::string BodyOf(Queue queue, uint64_t n) { return StrCat(QueueName(queue), " event number ", n); }

// One gateway with its state folder; Restart is a stop and a start, Crash drops it without storing anything.
class OutboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.folder = folder_.path();
    options_.spill_after_ms = 3'600'000;   // tests say when
    journal_options_.folder = folder_ / "journal";
    journal_options_.segment_bytes = 64 << 10;
    journal_options_.max_record_bytes = 8 << 10;
  }

  void Open() {
    const auto ordinal = NextOrdinal(options_.folder);
    ASSERT_TRUE(ordinal.ok()) << ordinal.status();
    auto journal = journal::Journal::Open(journal_options_, "gw", "shop", *ordinal, files_, clock_, random_, sealer_);
    ASSERT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
    auto outbox = Outbox::Open(options_, *journal_, clock_, sealer_, snapshots_);
    ASSERT_TRUE(outbox.ok()) << outbox.status();
    outbox_ = *std::move(outbox);
  }
  void Stop() {
    if (outbox_ != nullptr) {
      EXPECT_TRUE(outbox_->Close().ok());
    }
    outbox_.reset();
    journal_.reset();
  }
  void Restart() {
    Stop();
    Open();
  }
  void TearDown() override { Stop(); }

  uint64_t Append(Queue queue) {
    const uint64_t n = ++appended_;
    for (;;) {
      auto number = journal_->Append({queue, IdOf(n), 1000, BodyOf(queue, n)}, nullptr);
      if (number.ok()) return *number;
      EXPECT_TRUE(absl::IsResourceExhausted(number.status())) << number.status();
      EXPECT_TRUE(journal_->WaitForSpace(10'000)) << "no space in time";
    }
  }

  // Reads everything of the epoch from `from` on in small batches and checks that it is contiguous.
  std::vector<Item> ReadAll(Queue queue, const EpochId& epoch, uint64_t from, size_t batch = 7) {
    std::vector<Item> all;
    for (;;) {
      auto items = outbox_->Read(queue, epoch, from, {batch, 1 << 20});
      EXPECT_TRUE(items.ok()) << items.status();
      if (!items.ok() || items->empty()) return all;
      for (Item& item : *items) {
        EXPECT_LE(item.first, from);
        EXPECT_GE(item.last, from);
        from = item.last + 1;
        all.push_back(std::move(item));
      }
    }
  }

  // Stores all of memory, as a full journal would demand, and waits for it.
  void SpillAll(Queue queue) {
    outbox_->OnSpaceNeeded(0);
    while (outbox_->figures(queue).in_memory > 0) std::this_thread::yield();
  }

  fakes::TempFolder folder_;
  Options options_;
  journal::Options journal_options_;
  PosixFileSystem files_;
  SystemClock clock_;
  SeededRandom random_{7};
  const Sealer* sealer_ = nullptr;
  Snapshots* snapshots_ = nullptr;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<Outbox> outbox_;
  uint64_t appended_ = 0;
};

TEST_F(OutboxTest, ReadsFromMemoryWithoutTheDatabase) {
  Open();
  for (int i = 0; i < 20; ++i) Append(Queue::kInventory);
  const auto items = ReadAll(Queue::kInventory, journal_->epoch().id, 1);
  ASSERT_EQ(items.size(), 20u);
  EXPECT_EQ(items[4].bytes, BodyOf(Queue::kInventory, 5));
  EXPECT_EQ(items[4].id, IdOf(5));
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 20u);
  EXPECT_EQ(outbox_->counters()["spilled_rows"], 0);
}

TEST_F(OutboxTest, WakesOnceUntilReadEmpty) {
  Open();
  std::atomic<int> wakes = 0;
  outbox_->SetWakeup(Queue::kInventory, [&] { ++wakes; });
  Append(Queue::kInventory);
  Append(Queue::kInventory);
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(ReadAll(Queue::kInventory, journal_->epoch().id, 1).size(), 2u);
  Append(Queue::kInventory);
  EXPECT_EQ(wakes, 2);
}

TEST_F(OutboxTest, ReadsAcrossDatabaseAndMemoryInOrder) {
  Open();
  for (int i = 0; i < 30; ++i) Append(Queue::kShopBulk);
  SpillAll(Queue::kShopBulk);
  for (int i = 0; i < 30; ++i) Append(Queue::kShopBulk);
  const auto items = ReadAll(Queue::kShopBulk, journal_->epoch().id, 1);
  ASSERT_EQ(items.size(), 60u);
  for (size_t i = 0; i < items.size(); ++i) EXPECT_EQ(items[i].bytes, BodyOf(Queue::kShopBulk, i + 1));
  const auto figures = outbox_->figures(Queue::kShopBulk);
  EXPECT_EQ(figures.pending, 60u);
  EXPECT_EQ(figures.stored, 30u);
  EXPECT_EQ(figures.in_memory, 30u);
}

TEST_F(OutboxTest, AcknowledgeDropsAndCompletes) {
  Open();
  auto safe = std::make_shared<std::atomic<int>>(0);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(journal_->Append({Queue::kInventory, IdOf(i), 0, "x"}, [=](absl::Status s) { *safe += s.ok(); }).ok());
  }
  outbox_->Acknowledge(Queue::kInventory, journal_->epoch().id, 3);
  EXPECT_GE(*safe, 3);
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 2u);
  EXPECT_EQ(outbox_->HeldEpochs(Queue::kInventory).back().acked_to, 3u);
}

TEST_F(OutboxTest, ARestartFindsWhatWasPendingUnderItsOldKeys) {
  Open();
  const EpochId first = journal_->epoch().id;
  for (int i = 0; i < 40; ++i) Append(Queue::kAttendance);
  outbox_->Acknowledge(Queue::kAttendance, first, 10);
  Restart();
  Append(Queue::kAttendance);
  const auto held = outbox_->HeldEpochs(Queue::kAttendance);
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0].epoch.id, first);
  EXPECT_EQ(held[0].last, 40u);
  EXPECT_EQ(held[0].acked_to, 10u);
  EXPECT_EQ(held[1].epoch.id, journal_->epoch().id);
  EXPECT_GT(held[1].epoch.ordinal, held[0].epoch.ordinal);
  const auto items = ReadAll(Queue::kAttendance, first, 11);
  ASSERT_EQ(items.size(), 30u);
  EXPECT_EQ(items[0].bytes, BodyOf(Queue::kAttendance, 11));
  EXPECT_EQ(ReadAll(Queue::kAttendance, journal_->epoch().id, 1).size(), 1u);
}

TEST_F(OutboxTest, AFullJournalIsRelievedByTheDatabase) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  constexpr uint64_t kCount = 20'000;   // about 2 MiB through at most 8 segments of 64 KiB
  for (uint64_t i = 0; i < kCount; ++i) Append(Queue::kInventory);
  const auto items = ReadAll(Queue::kInventory, epoch, 1, 500);
  ASSERT_EQ(items.size(), kCount);
  for (size_t i = 0; i < items.size(); ++i) {
    ASSERT_FALSE(items[i].IsGap());
    ASSERT_EQ(items[i].id, IdOf(i + 1));
  }
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, kCount);
  Restart();
  EXPECT_EQ(ReadAll(Queue::kInventory, epoch, 1, 500).size(), kCount);
}

// What is pending of the epoch as ranges of numbers, gaps with their reason: "1-9 10-12:corrupt 13-20".
std::string Shape(const std::vector<Item>& items) {
  std::string out;
  for (size_t i = 0; i < items.size();) {
    size_t j = i + 1;
    if (!items[i].IsGap()) {
      while (j < items.size() && !items[j].IsGap()) ++j;
    }
    out += StrCat(out.empty() ? "" : " ", items[i].first, "-", items[j - 1].last);
    if (items[i].IsGap()) out += StrCat(":", GapReasonName(items[i].gap));
    i = j;
  }
  return out;
}

TEST_F(OutboxTest, RecoverBelowTheFloorSendsAgainWhatIsStillHeld) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 50; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  for (int i = 0; i < 50; ++i) Append(Queue::kInventory);
  outbox_->Acknowledge(Queue::kInventory, epoch, 80);   // 1-50 were stored, 51-80 only journalled
  ASSERT_TRUE(outbox_->Recover(Queue::kInventory, {{epoch, 20}}).ok());
  EXPECT_EQ(outbox_->HeldEpochs(Queue::kInventory).back().acked_to, 20u);
  const auto items = ReadAll(Queue::kInventory, epoch, 21);
  EXPECT_EQ(Shape(items), "21-100");
  for (const Item& item : items) EXPECT_EQ(item.id, IdOf(item.first));
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 80u);
}

TEST_F(OutboxTest, RecoverAboveTheFloorIsAnAcknowledgement) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 10; ++i) Append(Queue::kInventory);
  ASSERT_TRUE(outbox_->Recover(Queue::kInventory, {{epoch, 7}}).ok());
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 3u);
  EXPECT_TRUE(absl::IsFailedPrecondition(outbox_->Recover(Queue::kInventory, {{epoch, 11}})))
      << "the running epoch has no number 11";
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 3u) << "and nothing is let go for it";
}

TEST_F(OutboxTest, AnEarlierEpochMayEndLaterThanWeKnow) {
  Open();
  const EpochId first = journal_->epoch().id;
  for (int i = 0; i < 10; ++i) Append(Queue::kInventory);
  Restart();
  ASSERT_TRUE(outbox_->Recover(Queue::kInventory, {{first, 12}}).ok());
  for (const auto& held : outbox_->HeldEpochs(Queue::kInventory)) {
    if (held.epoch.id == first) {
      EXPECT_EQ(held.acked_to, 12u);
    }
  }
}

TEST_F(OutboxTest, BeyondTheReplayWindowIsAGapThatSaysSo) {
  options_.replay_window_bytes = 20'000;
  journal_options_.max_segments = 3;
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 6000; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  outbox_->Acknowledge(Queue::kInventory, epoch, 5990);
  while (outbox_->counters()["trimmed_rows"] == 0) {
    outbox_->OnSegmentChange();
    std::this_thread::yield();
  }
  ASSERT_TRUE(outbox_->Recover(Queue::kInventory, {{epoch, 100}}).ok());
  const auto items = ReadAll(Queue::kInventory, epoch, 101, 500);
  ASSERT_FALSE(items.empty());
  EXPECT_EQ(items.front().first, 101u);
  EXPECT_EQ(items.front().gap, GapReason::kBeyondReplayWindow);
  EXPECT_EQ(items.back().last, 6000u);
  EXPECT_FALSE(items.back().IsGap());
}

TEST_F(OutboxTest, BulkBeyondTheQuotaBecomesOneGap) {
  options_.quota_bytes = 4 << 20;
  options_.reserved_bytes = 1 << 20;
  options_.memory_bytes = 1 << 20;
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 60'000; ++i) Append(Queue::kShopBulk);
  for (int i = 0; i < 1000; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kShopBulk);
  SpillAll(Queue::kInventory);
  const auto bulk = ReadAll(Queue::kShopBulk, epoch, 1, 500);
  ASSERT_GT(bulk.size(), 1000u);
  EXPECT_EQ(bulk.front().gap, GapReason::kQuota);
  EXPECT_EQ(bulk.front().first, 1u);
  EXPECT_EQ(std::count_if(bulk.begin(), bulk.end(), [](const Item& item) { return item.IsGap(); }), 1);
  EXPECT_EQ(bulk.back().last, 60'000u);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 1, 500)), "1-1000");
  EXPECT_EQ(outbox_->counters()["dropped_bulk"], static_cast<int64_t>(bulk.front().last));
}

TEST_F(OutboxTest, CriticalEventsPastTheQuotaArePushedBackNotDropped) {
  options_.quota_bytes = 2 << 20;
  options_.memory_bytes = 256 << 10;
  Open();
  const EpochId epoch = journal_->epoch().id;
  uint64_t taken = 0;
  for (;;) {
    auto number = journal_->Append({Queue::kInventory, IdOf(taken + 1), 0, std::string(200, 'x')}, nullptr);
    if (number.ok()) {
      ++taken;
    } else if (!journal_->WaitForSpace(1500)) {
      break;
    }
    ASSERT_LT(taken, 100'000u);
  }
  EXPECT_GT(outbox_->counters()["critical_waits_for_room"], 0);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 1, 500)), StrCat("1-", taken));
  outbox_->Acknowledge(Queue::kInventory, epoch, taken);
  EXPECT_TRUE(journal_->WaitForSpace(20'000));
}

TEST_F(OutboxTest, PersonalRowsAreSealedOnDisk) {
  const Sealer sealer(std::array<uint8_t, Sealer::kKeyBytes>{9});
  sealer_ = &sealer;
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 10; ++i) Append(Queue::kAttendance);
  Append(Queue::kInventory);
  SpillAll(Queue::kAttendance);
  std::string all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
    if (entry.is_regular_file()) all += ReadFile(entry.path(), 64 << 20).value_or("");
  }
  EXPECT_EQ(all.find("attendance event"), std::string::npos);
  EXPECT_NE(all.find("inventory event"), std::string::npos);
  Restart();
  const auto items = ReadAll(Queue::kAttendance, epoch, 1);
  ASSERT_EQ(items.size(), 10u);
  EXPECT_EQ(items[9].bytes, BodyOf(Queue::kAttendance, 10));
}

TEST_F(OutboxTest, TraceTellsWhenAndWhere) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 20; ++i) Append(Queue::kInventory);
  outbox_->Sent(Queue::kInventory, epoch, 1, 15);
  outbox_->Acknowledge(Queue::kInventory, epoch, 5);
  SpillAll(Queue::kInventory);
  ASSERT_TRUE(journal_->Sync().ok());
  const auto acknowledged = outbox_->Find(IdOf(3));
  ASSERT_TRUE(acknowledged.ok()) << acknowledged.status();
  EXPECT_TRUE(acknowledged->acknowledged);
  EXPECT_FALSE(acknowledged->stored);
  EXPECT_GT(acknowledged->sent_ms, 0);
  EXPECT_GT(acknowledged->acknowledged_ms, 0);
  const auto stored = outbox_->Find(IdOf(12));
  ASSERT_TRUE(stored.ok());
  EXPECT_TRUE(stored->stored);
  EXPECT_GT(stored->stored_ms, 0);
  EXPECT_GT(stored->synced_ms, 0);
  EXPECT_FALSE(stored->acknowledged);
  EXPECT_EQ(stored->item.bytes, BodyOf(Queue::kInventory, 12));
  EXPECT_TRUE(absl::IsNotFound(outbox_->Find(IdOf(999)).status()));
  EXPECT_EQ(outbox_->IdAt(Queue::kInventory, epoch, 12), IdOf(12));
  EXPECT_EQ(outbox_->IdAt(Queue::kInventory, epoch, 99), std::nullopt);
}

class MapSnapshots final : public Snapshots {
 public:
  std::map<std::string, std::string> TakeChanged() override {
    std::lock_guard lock(mu_);
    return std::exchange(rows_, {});
  }
  void GiveBack(std::map<std::string, std::string> rows) override {
    std::lock_guard lock(mu_);
    rows_.merge(rows);
  }
  void Put(const std::string& key, const std::string& value) {
    std::lock_guard lock(mu_);
    rows_[key] = value;
  }

 private:
  std::mutex mu_;
  std::map<std::string, std::string> rows_;
};

TEST_F(OutboxTest, SnapshotsAndRefusedMessagesSurvive) {
  MapSnapshots snapshots;
  snapshots_ = &snapshots;
  Open();
  snapshots.Put("a", "1");
  snapshots.Put("b", "2");
  for (int i = 0; i < 1500; ++i) outbox_->PutRejected(StrCat("bad message ", i));
  EXPECT_EQ(outbox_->ListRejected(2).value_or(std::vector<std::string>()).size(), 2u);
  Restart();
  snapshots.Put("a", "");
  Restart();
  const auto rows = outbox_->LoadSnapshots();
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(*rows, (std::map<std::string, std::string>{{"b", "2"}}));
  const auto rejected = outbox_->ListRejected(5000);
  ASSERT_TRUE(rejected.ok());
  ASSERT_EQ(rejected->size(), 1000u);
  EXPECT_EQ(rejected->front(), "bad message 1499");
  Stop();
  snapshots_ = nullptr;
}

// Overwrites part of a file with what looks like nothing.
void Garble(const std::string& path, size_t at, size_t size) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file << std::string(size, '\x5A');
}

TEST_F(OutboxTest, ADatabaseWithBadPagesIsSetAsideAndItsGoodRowsAreSalvaged) {
  journal_options_.max_segments = 3;
  Open();
  const EpochId epoch = journal_->epoch().id;
  constexpr uint64_t kCount = 20'000;
  for (uint64_t i = 0; i < kCount; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  Stop();
  const std::string path = folder_ / "outbox.db";
  const size_t size = std::filesystem::file_size(path);
  for (int page : {100, 101, 250}) Garble(path, page * 4096, 4096);
  ASSERT_GT(size, 300u * 4096);
  Open();
  ASSERT_EQ(outbox_->start_report().set_aside.size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(folder_ / outbox_->start_report().set_aside[0]));
  EXPECT_GT(outbox_->start_report().salvaged, kCount * 95 / 100);
  const auto items = ReadAll(Queue::kInventory, epoch, 1, 500);
  uint64_t records = 0;
  for (const Item& item : items) {
    if (item.IsGap()) {
      EXPECT_EQ(item.gap, GapReason::kCorrupt);
    } else {
      ++records;
      EXPECT_EQ(item.id, IdOf(item.first));
    }
  }
  EXPECT_GT(records, kCount * 95 / 100);
  EXPECT_EQ(items.back().last, kCount);
  Append(Queue::kInventory);
}

TEST_F(OutboxTest, WhatIsNoDatabaseAtAllDoesNotKeepTheDaemonFromStarting) {
  for (const std::string& content : {std::string(100'000, 'x'), std::string("SQLite format 3"), std::string()}) {
    Stop();
    std::ofstream(folder_ / "outbox.db", std::ios::binary) << content;
    Open();
    Append(Queue::kInventory);
    SpillAll(Queue::kInventory);
  }
  EXPECT_EQ(ReadAll(Queue::kInventory, journal_->epoch().id, 1).size(), 1u);
}

TEST_F(OutboxTest, AnUnknownFormatVersionIsSetAsideUntouched) {
  Open();
  Stop();
  const std::string path = folder_ / "outbox.db";
  {
    auto db = sqlite::Database::Open(path, {});
    ASSERT_TRUE(db.ok());
    ASSERT_TRUE(db->Exec("PRAGMA user_version=77").ok());
    ASSERT_TRUE(db->Checkpoint(true).ok());
  }
  const std::string before = *ReadFile(path, 1 << 24);
  Open();
  ASSERT_EQ(outbox_->start_report().set_aside, std::vector<std::string>{"outbox.db.version-1"});
  EXPECT_EQ(outbox_->start_report().salvaged, 0u);
  EXPECT_EQ(*ReadFile(folder_ / "outbox.db.version-1", 1 << 24), before);
}

// Random actions against a plain list: nothing lost, nothing twice, nothing out of order, through restarts and rewinds.
TEST_F(OutboxTest, BehavesLikeAPlainList) {
  options_.memory_bytes = 24 << 10;
  options_.spill_after_ms = 5;
  journal_options_.max_segments = 6;
  struct Model {
    EpochId epoch;
    std::vector<EventId> ids;   // number n is at n - 1
    uint64_t acked = 0;
  };
  SeededRandom dice(20240601);
  std::vector<Model> epochs;
  const Queue queue = Queue::kInventory;
  const auto open = [&] {
    Open();
    epochs.push_back({journal_->epoch().id, {}, 0});
  };
  const auto check = [&](const Model& model) {
    const auto items = ReadAll(queue, model.epoch, model.acked + 1, 1 + dice.Below(300));
    uint64_t next = model.acked + 1;
    for (const Item& item : items) {
      ASSERT_FALSE(item.IsGap()) << item.first << "-" << item.last << " " << GapReasonName(item.gap);
      ASSERT_EQ(item.first, next);
      ASSERT_EQ(item.id, model.ids[next - 1]);
      ++next;
    }
    ASSERT_EQ(next, model.ids.size() + 1);
  };
  open();
  for (int step = 0; step < 3000 && !HasFatalFailure(); ++step) {
    Model& running = epochs.back();
    const uint64_t what = dice.Below(100);
    if (what < 60) {
      for (uint64_t i = dice.Below(60); i > 0; --i) {
        running.ids.push_back(IdOf(appended_ + 1));
        ASSERT_EQ(Append(queue), running.ids.size());
      }
    } else if (what < 80) {
      // The oldest with anything pending, as the uplink would.
      for (Model& model : epochs) {
        if (model.acked == model.ids.size()) continue;
        model.acked += 1 + dice.Below(model.ids.size() - model.acked);
        outbox_->Acknowledge(queue, model.epoch, model.acked);
        break;
      }
    } else if (what < 88) {
      Model& model = epochs[dice.Below(epochs.size())];
      check(model);
    } else if (what < 92) {
      outbox_->OnSpaceNeeded(0);
    } else if (what < 95) {
      // Nothing is beyond the window here, so a rewound cloud must get everything again. The model keeps no window of its
      // own: go back to the last stored or journalled number only.
      Model& model = epochs.back();
      const uint64_t held = journal_->Holds(model.epoch, queue).first;
      if (model.acked > 0 && held != 0 && held <= model.acked) {
        const uint64_t cursor = std::max(held - 1, model.acked - std::min<uint64_t>(model.acked, dice.Below(40)));
        ASSERT_TRUE(outbox_->Recover(queue, {{model.epoch, cursor}}).ok());
        model.acked = cursor;
        check(model);
      }
    } else if (what < 96) {
      Restart();
      epochs.push_back({journal_->epoch().id, {}, 0});
      std::vector<Model> left;
      for (const auto& held : outbox_->HeldEpochs(queue)) {
        for (Model& model : epochs) {
          if (model.epoch != held.epoch.id) continue;
          EXPECT_EQ(held.acked_to, model.acked) << "a clean stop saves the floors";
          EXPECT_TRUE(held.first == 0 || held.last == model.ids.size());
          left.push_back(model);
        }
      }
      for (const Model& model : epochs) {
        const bool kept = std::any_of(left.begin(), left.end(), [&](const Model& m) { return m.epoch == model.epoch; });
        EXPECT_TRUE(kept || model.acked == model.ids.size()) << "forgotten with something pending";
      }
      epochs = left;
    }
  }
  for (const Model& model : epochs) check(model);
}

}  // namespace
}  // namespace sluice::outbox
