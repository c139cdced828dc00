// A start whatever lies in the state folder, and on a disk without room (delivery case 13).
#include "tests/fakes/full_disk.h"
#include "tests/gateway/outbox/outbox_fixture.h"

namespace sluice::outbox {
namespace {

using OpeningTest = OutboxTest;

TEST_F(OpeningTest, AFullDiskKeepsNobodyFromStartingAndNothingIsSetAside) {
  fakes::FullDisk disk;
  Open();
  const EpochId first = journal_->epoch().id;
  for (int i = 0; i < 20; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  Stop();
  disk.Fill();
  Open();
  const EpochId second = journal_->epoch().id;
  EXPECT_TRUE(outbox_->start_report().set_aside.empty());
  EXPECT_EQ(outbox_->counters()["writes_failing"], 1);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, first, 1)), "1-20") << "what was stored goes to the cloud";
  for (int i = 0; i < 10; ++i) Append(Queue::kInventory);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, second, 1)), "1-10") << "and new events come";
  disk.Free();
  SpillAll(Queue::kInventory);
  EXPECT_EQ(outbox_->counters()["writes_failing"], 0);
  Restart();
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, first, 1)), "1-20");
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, second, 1)), "1-10");
}

TEST_F(OpeningTest, ADamagedDatabaseOnAFullDiskIsReadFromUntilThereIsRoom) {
  fakes::FullDisk disk;
  Open();
  const EpochId first = journal_->epoch().id;
  for (int i = 0; i < 2000; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  Stop();
  Garble(folder_ / "outbox.db", 20 * 4096, 4096);
  disk.Fill();
  Open();
  const EpochId second = journal_->epoch().id;
  EXPECT_EQ(outbox_->counters()["writes_failing"], 1);
  EXPECT_TRUE(outbox_->LoadSnapshots().empty());
  for (int i = 0; i < 10; ++i) Append(Queue::kInventory);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, second, 1)), "1-10") << "new events come and go";
  const auto held = outbox_->HeldEpochs(Queue::kInventory);
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0].epoch.id, first) << "and what was stored goes before them";
  const auto readable = outbox_->Read(Queue::kInventory, first, 1, {100, 1 << 20});
  ASSERT_TRUE(readable.ok()) << readable.status();
  EXPECT_EQ(readable->front().last, 1u);
  // A restart in between finds the same.
  EXPECT_FALSE(outbox_->Close().ok()) << "what is not stored waits in the journal";
  outbox_.reset();
  journal_.reset();
  Open();
  EXPECT_EQ(outbox_->HeldEpochs(Queue::kInventory).size(), 3u);
  for (int i = 0; i < 5; ++i) Append(Queue::kInventory);
  disk.Free();
  while (outbox_->counters()["writes_failing"] != 0) std::this_thread::yield();
  EXPECT_GT(outbox_->counters()["salvaged_rows"], 1800);
  const auto all = ReadAll(Queue::kInventory, first, 1, 500);
  EXPECT_EQ(all.back().last, 2000u);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, second, 1)), "1-10");
  Restart();
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, first, 1, 500)), Shape(all));
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, second, 1)), "1-10");
}

TEST_F(OpeningTest, WithoutAnyDatabaseOnAFullDiskItWorksFromTheJournal) {
  fakes::FullDisk disk;
  Open();
  const EpochId first = journal_->epoch().id;
  for (int i = 0; i < 20; ++i) Append(Queue::kInventory);
  // Killed: nothing was stored.
  outbox_.reset();
  journal_.reset();
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(folder_ / StrCat("outbox.db", suffix));
  disk.Fill();
  Open();
  const EpochId second = journal_->epoch().id;
  EXPECT_EQ(outbox_->counters()["writes_failing"], 1);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, first, 1)), "1-20");
  for (int i = 0; i < 10; ++i) Append(Queue::kInventory);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, second, 1)), "1-10");
  outbox_->Acknowledge(Queue::kInventory, first, 20);
  outbox_->Acknowledge(Queue::kInventory, second, 4);
  disk.Free();
  SpillAll(Queue::kInventory);
  EXPECT_EQ(outbox_->counters()["writes_failing"], 0);
  Restart();
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, second, 5)), "5-10");
}

TEST_F(OpeningTest, ADatabaseThatGoesBadOnAFullDiskIsReplacedOnceThereIsRoom) {
  fakes::FullDisk disk;
  journal_options_.max_segments = 3;
  Open();
  const EpochId epoch = journal_->epoch().id;
  constexpr uint64_t kCount = 60'000;
  for (uint64_t i = 0; i < kCount; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  for (int page = 300; page < 310; ++page) Garble(folder_ / "outbox.db", page * 4096, 4096);
  disk.Fill();
  // The reader that meets the damage gets an error until it is mended, never a gap for what is only out of reach.
  uint64_t next = 1;
  for (;;) {
    auto items = outbox_->Read(Queue::kInventory, epoch, next, {500, 1 << 20});
    if (!items.ok()) break;
    for (const Item& item : *items) EXPECT_FALSE(item.IsGap()) << item.first;
    ASSERT_FALSE(items->empty());
    next = items->back().last + 1;
  }
  EXPECT_LT(next, kCount);
  EXPECT_GE(outbox_->counters()["writes_failing"], 1);
  EXPECT_EQ(Append(Queue::kInventory), kCount + 1);
  disk.Free();
  while (outbox_->counters()["writes_failing"] != 0) std::this_thread::yield();
  const auto items = ReadAll(Queue::kInventory, epoch, 1, 500);
  EXPECT_EQ(items.back().last, kCount + 1);
  EXPECT_GT(items.size(), kCount * 95 / 100);
  EXPECT_EQ(outbox_->counters()["databases_set_aside"], 1);
}

TEST_F(OpeningTest, AHoleIsNamedToTheCloudThoughThereIsNoRoomToWriteItDown) {
  fakes::FullDisk disk;
  journal_options_.boot.bytes[0] = 1;
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 50; ++i) Append(Queue::kInventory);
  ASSERT_TRUE(journal_->Sync().ok());
  std::filesystem::copy(folder_ / "journal", folder_ / "killed");
  Stop();
  std::filesystem::remove_all(folder_ / "journal");
  std::filesystem::rename(folder_ / "killed", folder_ / "journal");
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(folder_ / StrCat("outbox.db", suffix));
  Open();
  Stop();
  std::filesystem::resize_file(folder_ / "journal/journal-000001.seg", 0);
  disk.Fill();
  Open();
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 1)), "1-50:lost_tail");
  EXPECT_EQ(outbox_->counters()["gaps_declared"], 0) << "here it is not, yet";
  outbox_->Acknowledge(Queue::kInventory, epoch, 20);
  disk.Free();
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 21)), "21-50:lost_tail");
  EXPECT_GE(outbox_->counters()["gaps_declared"], 1);
}

TEST_F(OpeningTest, ALogBesideAnEmptyOrMissingDatabaseIsNotLost) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 200; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  // Killed, so that nothing was checkpointed; and the journal's segments do not have it any more.
  std::filesystem::copy(folder_ / "outbox.db-wal", folder_ / "log");
  Stop();
  for (const bool missing : {false, true}) {
    std::filesystem::copy(folder_ / "log", folder_ / "outbox.db-wal", std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(folder_ / "outbox.db", 0);
    if (missing) std::filesystem::remove(folder_ / "outbox.db");
    std::filesystem::remove(folder_ / "outbox.db-shm");
    std::filesystem::remove_all(folder_ / "journal");
    Open();
    EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 1)), "1-200") << missing;
    Stop();
  }
}

TEST_F(OpeningTest, SomethingElseUnderItsNamesIsSetAside) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 50; ++i) Append(Queue::kInventory);
  Stop();
  for (const char* suffix : {"-shm", "-wal"}) {
    std::filesystem::remove(folder_ / StrCat("outbox.db", suffix));
    std::filesystem::create_directory(folder_ / StrCat("outbox.db", suffix));
    const char* other = suffix == std::string_view("-shm") ? "-wal" : "-shm";
    std::ofstream(folder_ / StrCat("outbox.db", other), std::ios::binary) << std::string(100'000, 'z');
    const int64_t began = clock_.MonotonicUs();
    Open();
    EXPECT_LT(clock_.MonotonicUs() - began, 5'000'000) << "SQLite tries for ten seconds";
    EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 1)), "1-50") << suffix;
    EXPECT_TRUE(std::filesystem::is_directory(folder_ / StrCat("outbox.db", suffix, ".bad-1")));
    EXPECT_EQ(outbox_->start_report().set_aside, std::vector<std::string>{StrCat("outbox.db", suffix, ".bad-1")});
    Stop();
  }
  std::filesystem::remove(folder_ / "outbox.db");
  std::filesystem::create_directory(folder_ / "outbox.db");
  Open();
  Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
}

// What was stored is gone with the database, and the journal's segments were used again: only the positions know.
TEST_F(OpeningTest, WhatADatabaseHeldThatIsGoneIsDeclared) {
  journal_options_.max_segments = 3;
  Open();
  const EpochId first = journal_->epoch().id;
  for (int i = 0; i < 5000; ++i) Append(Queue::kInventory);
  outbox_->Acknowledge(Queue::kInventory, first, 100);
  Restart();
  const EpochId second = journal_->epoch().id;
  for (int i = 0; i < 5000; ++i) Append(Queue::kInventory);
  Stop();
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(folder_ / StrCat("outbox.db", suffix));
  Open();
  EXPECT_TRUE(outbox_->start_report().outbox_missing);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, first, 101)), "101-5000:lost_tail");
  const auto items = ReadAll(Queue::kInventory, second, 1);
  ASSERT_GT(items.size(), 100u) << "what the journal still has";
  EXPECT_TRUE(items.front().IsGap());
  EXPECT_FALSE(items.back().IsGap());
  EXPECT_EQ(items.back().last, 5000u);
  Restart();
  EXPECT_FALSE(outbox_->start_report().outbox_missing);
}

// R5: a segment whose lost end nothing later numbers.
TEST_F(OpeningTest, TheLostEndOfARunIsDeclared) {
  for (const bool switched_off : {false, true}) {
    journal_options_.boot.bytes[0] = 1;
    Open();
    const EpochId epoch = journal_->epoch().id;
    for (int i = 0; i < 300; ++i) Append(Queue::kInventory);
    for (int i = 0; i < 20; ++i) Append(Queue::kShopUrgent);
    ASSERT_TRUE(journal_->Sync().ok());
    std::filesystem::copy(folder_ / "journal", folder_ / "killed");
    Stop();
    std::filesystem::remove_all(folder_ / "journal");
    std::filesystem::rename(folder_ / "killed", folder_ / "journal");
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(folder_ / StrCat("outbox.db", suffix));
    const std::string segment = folder_ / "journal/journal-000001.seg";
    Garble(segment, 2 * 4096 + 12'000, 100);
    if (switched_off) journal_options_.boot.bytes[0] = 2;
    Open();
    const auto items = ReadAll(Queue::kInventory, epoch, 1, 1000);
    ASSERT_FALSE(items.empty());
    EXPECT_EQ(items.back().gap, GapReason::kLostTail);
    EXPECT_EQ(items.back().first, items.size());
    EXPECT_LT(items.size(), 300u);
    const auto urgent = ReadAll(Queue::kShopUrgent, epoch, 1, 1000);
    EXPECT_EQ(urgent.back().first, 1u);
    if (switched_off) {
      EXPECT_GT(items.back().last, 300u) << "where it ended is not known to the number";
      EXPECT_LT(items.back().last, 300u + 1000);
    } else {
      EXPECT_EQ(items.back().last, 300u);
      EXPECT_EQ(urgent.back().last, 20u);
    }
    // The cloud may have had more than anybody here knows of (R9).
    ASSERT_TRUE(outbox_->Recover(Queue::kInventory, {{epoch, 5000}}).ok());
    EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 0u);
    Stop();
    std::filesystem::remove_all(folder_ / "journal");
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(folder_ / StrCat("outbox.db", suffix));
  }
}

TEST_F(OpeningTest, WhatCannotBeOpenedWithANewKeyBecomesAGap) {
  const Sealer first(std::array<uint8_t, Sealer::kKeyBytes>{1}), second(std::array<uint8_t, Sealer::kKeyBytes>{2});
  sealer_ = &first;
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 30; ++i) Append(Queue::kAttendance);
  SpillAll(Queue::kAttendance);
  for (int i = 0; i < 30; ++i) Append(Queue::kAttendance);
  for (int i = 0; i < 10; ++i) Append(Queue::kInventory);
  outbox_.reset();   // stores the rest
  journal_.reset();
  sealer_ = &second;
  Open();
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 1)), "1-10");
  const auto items = ReadAll(Queue::kAttendance, epoch, 1);
  ASSERT_FALSE(items.empty());
  for (const Item& item : items) EXPECT_EQ(item.gap, GapReason::kCorrupt);
  EXPECT_EQ(items.back().last, 60u);
  EXPECT_LE(items.size(), 4u) << "in few pieces";
  for (int i = 0; i < 5; ++i) Append(Queue::kAttendance);
  EXPECT_EQ(Shape(ReadAll(Queue::kAttendance, journal_->epoch().id, 1)), "1-5");
  Stop();
  sealer_ = nullptr;
}

TEST_F(OpeningTest, WhatIsNoDatabaseAtAllDoesNotKeepTheDaemonFromStarting) {
  for (const std::string& content : {std::string(100'000, 'x'), std::string("SQLite format 3"), std::string()}) {
    Stop();
    std::ofstream(folder_ / "outbox.db", std::ios::binary) << content;
    Open();
    Append(Queue::kInventory);
    SpillAll(Queue::kInventory);
  }
  EXPECT_EQ(ReadAll(Queue::kInventory, journal_->epoch().id, 1).size(), 1u);
}

TEST_F(OpeningTest, AnUnknownFormatVersionIsSetAsideUntouched) {
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

}  // namespace
}  // namespace sluice::outbox
