// Rewinds, replay window and damaged databases (delivery rules R7, R12, case 13).
#include "tests/fakes/full_disk.h"
#include "tests/gateway/outbox/outbox_fixture.h"

namespace sluice::outbox {
namespace {

using RecoveryTest = OutboxTest;

TEST_F(RecoveryTest, RecoverBelowTheFloorSendsAgainWhatIsStillHeld) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 50; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  for (int i = 0; i < 50; ++i) Append(Queue::kInventory);
  outbox_->Acknowledge(Queue::kInventory, epoch, 80);  // 1-50 were stored, 51-80 only journalled
  ASSERT_TRUE(outbox_->Recover(Queue::kInventory, {{epoch, 20}}).ok());
  EXPECT_EQ(outbox_->HeldEpochs(Queue::kInventory).back().acked_to, 20u);
  const auto items = ReadAll(Queue::kInventory, epoch, 21);
  EXPECT_EQ(Shape(items), "21-100");
  for (const Item& item : items) EXPECT_EQ(item.id, IdOf(item.first));
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 80u);
}

TEST_F(RecoveryTest, WhatWasAcknowledgedAndIsNowhereCanBeReadAsAGap) {
  journal_options_.max_segments = 3;
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 5000; ++i) outbox_->Acknowledge(Queue::kInventory, epoch, Append(Queue::kInventory));
  const uint64_t first = journal_->Holds(epoch, Queue::kInventory).first;
  ASSERT_GT(first, 100u) << "segments were used again, and nothing was stored";
  const auto items = ReadAll(Queue::kInventory, epoch, 1, 500);
  EXPECT_EQ(items.front().gap, GapReason::kBeyondReplayWindow);
  EXPECT_EQ(items.front().last, first - 1);
  EXPECT_EQ(items.back().last, 5000u);
  EXPECT_FALSE(items.back().IsGap());
}

TEST_F(RecoveryTest, RecoverAboveTheFloorIsAnAcknowledgement) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 10; ++i) Append(Queue::kInventory);
  ASSERT_TRUE(outbox_->Recover(Queue::kInventory, {{epoch, 7}}).ok());
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 3u);
  EXPECT_TRUE(absl::IsFailedPrecondition(outbox_->Recover(Queue::kInventory, {{epoch, 11}})))
      << "the running epoch has no number 11";
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 3u) << "and nothing is let go for it";
}

TEST_F(RecoveryTest, AnEarlierEpochMayEndLaterThanWeKnow) {
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

TEST_F(RecoveryTest, BeyondTheReplayWindowIsAGapThatSaysSo) {
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

// Positions are saved lazily: a killed daemon must not take what was acknowledged and recycled for damage.
TEST_F(RecoveryTest, WhatWasRecycledBecauseItWasAcknowledgedIsNoHole) {
  journal_options_.min_segments = 2;
  journal_options_.max_segments = 2;
  fakes::FullDisk disk;
  Open();
  const EpochId epoch = journal_->epoch().id;
  disk.Fill();   // nothing is saved any more, as if it were killed before
  while (journal_->figures().segment_changes < 5) {
    const uint64_t number = Append(Queue::kInventory);
    outbox_->Acknowledge(Queue::kInventory, epoch, number - 1);
  }
  ASSERT_GT(journal_->Holds(epoch, Queue::kInventory).first, 1u);
  const uint64_t last = appended_;
  // Closed without the outbox, whose last act would be to save.
  ASSERT_TRUE(journal_->Sync().ok());
  outbox_->Close().IgnoreError();
  disk.Free();
  outbox_.reset();
  journal_.reset();
  Open();
  const auto held = outbox_->HeldEpochs(Queue::kInventory).front();
  EXPECT_EQ(held.epoch.id, epoch);
  EXPECT_EQ(held.last, last);
  EXPECT_GT(held.acked_to, 0u);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, held.acked_to + 1)), StrCat(held.acked_to + 1, "-", last)) << "no gap";
}

TEST_F(RecoveryTest, ADatabaseWithBadPagesIsSetAsideAndItsGoodRowsAreSalvaged) {
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

TEST_F(RecoveryTest, ADatabaseThatGoesBadWhileRunningIsReplaced) {
  journal_options_.max_segments = 3;
  Open();
  const EpochId epoch = journal_->epoch().id;
  constexpr uint64_t kCount = 60'000;
  for (uint64_t i = 0; i < kCount; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  for (int page = 300; page < 320; ++page) Garble(folder_ / "outbox.db", page * 4096, 4096);
  const auto items = ReadAll(Queue::kInventory, epoch, 1, 500);
  EXPECT_EQ(outbox_->counters()["databases_set_aside"], 1);
  uint64_t records = 0;
  for (const Item& item : items) {
    records += item.IsGap() ? 0 : 1;
    EXPECT_TRUE(item.IsGap() || item.id == IdOf(item.first));
  }
  EXPECT_GT(records, kCount * 95 / 100);
  EXPECT_EQ(items.back().last, kCount);
  for (int i = 0; i < 10; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  Restart();
  EXPECT_TRUE(outbox_->start_report().set_aside.empty());
  EXPECT_EQ(ReadAll(Queue::kInventory, epoch, kCount + 1).size(), 10u);
}

TEST_F(RecoveryTest, ASalvageThatWasCutShortIsDoneAgain) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 5000; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  Stop();
  Garble(folder_ / "outbox.db", 20 * 4096, 4096);
  Open();
  const std::string shape = Shape(ReadAll(Queue::kInventory, epoch, 1, 500));
  const uint64_t salvaged = outbox_->start_report().salvaged;
  EXPECT_GT(salvaged, 4000u);
  Stop();
  // As a kill leaves it after the new database got its streams, and before it got the rows.
  {
    auto db = sqlite::Database::Open(folder_ / "outbox.db", {});
    ASSERT_TRUE(db.ok() && db->Exec("DELETE FROM items; DELETE FROM ranges").ok());
  }
  for (const char* suffix : {"", "-wal"}) {
    const std::string name = StrCat("outbox.db.bad-1", suffix);
    if (!std::filesystem::exists(folder_ / name)) continue;
    std::filesystem::rename(folder_ / name, folder_ / StrCat("outbox.db.salvaging-1", suffix));
  }
  Open();
  EXPECT_EQ(outbox_->start_report().salvaged, salvaged);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 1, 500)), shape);
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, ReadAll(Queue::kInventory, epoch, 1, 500).size());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "outbox.db.salvaging-1"));
  // And before there was a new database at all.
  Stop();
  for (const char* suffix : {"", "-wal"}) {
    if (std::filesystem::exists(folder_ / StrCat("outbox.db", suffix)))
      std::filesystem::rename(folder_ / StrCat("outbox.db", suffix), folder_ / StrCat("outbox.db.salvaging-1", suffix));
  }
  Open();
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 1, 500)), shape);
}

TEST_F(RecoveryTest, AnEmptiedJournalIsReported) {
  Open();
  for (int i = 0; i < 10; ++i) Append(Queue::kInventory);
  Restart();
  EXPECT_FALSE(outbox_->start_report().journal_missing);
  Stop();
  for (const auto& file : std::filesystem::directory_iterator(folder_ / "journal")) {
    if (file.path().extension() == ".seg") std::filesystem::resize_file(file.path(), 0);
    if (file.path().extension() == ".seg") std::filesystem::resize_file(file.path(), journal_options_.segment_bytes);
  }
  Open();
  EXPECT_TRUE(outbox_->start_report().journal_missing);
  Restart();
  EXPECT_FALSE(outbox_->start_report().journal_missing);
}

TEST_F(RecoveryTest, AFullJournalIsNotTakenForAnEmptiedOne) {
  journal_options_.min_segments = journal_options_.max_segments = 2;
  options_.quota_bytes = 0;   // nothing can be stored, nothing released
  Open();
  for (uint64_t n = 1;; ++n) {
    const auto number = journal_->Append({Queue::kInventory, IdOf(n), 1000, BodyOf(Queue::kInventory, n)}, nullptr);
    if (!number.ok() && !journal_->WaitForSpace(100)) break;
  }
  for (int run = 0; run < 3; ++run) {
    Restart();
    EXPECT_FALSE(outbox_->start_report().journal_missing) << run;
  }
}

}  // namespace
}  // namespace sluice::outbox
