// What a start can say of numbers whose records are gone (FORMAT.md, Positions).
#include "tests/gateway/journal/journal_fixture.h"

#include <filesystem>

#include "gateway/journal/segment.h"

namespace sluice::journal {
namespace {

namespace fs = std::filesystem;

class PositionsTest : public JournalTest {
 protected:
  // Copies the folder as a kill -9 leaves it: nothing is closed.
  void Kill() {
    const std::string kept = folder_ / "kept";
    fs::remove_all(kept);
    fs::copy(options_.folder, kept, fs::copy_options::recursive);
    journal_.reset();
    fs::remove_all(options_.folder);
    fs::rename(kept, options_.folder);
  }
  void Zero(const std::string& name) { Overwrite(name, std::string(Content(name).size(), '\0')); }
  void AppendMany(uint64_t count, Queue queue = kQueue) {
    for (uint64_t i = 0; i < count; ++i) Append(++appended_, nullptr, queue);
  }
  void Sync() { ASSERT_TRUE(journal_->Sync().ok()); }
  std::string NewestRecords() {
    // The segment that the killed run wrote to.
    std::string newest;
    uint64_t number = 0;
    for (const auto& entry : fs::directory_iterator(options_.folder)) {
      const std::string name = entry.path().filename();
      uint64_t slot;
      if (!ParseSegmentName(name, &slot)) continue;
      auto file = files_.Open(entry.path(), FileSystem::Mode::kRead);
      bool zero;
      const auto head = ReadSegmentHead(**file, &zero);
      if (head.ok() && head->head.segment > number) {
        number = head->head.segment;
        newest = name;
      }
    }
    return newest;
  }
  const Found::Tail* TailOf(Queue queue) {
    for (const auto& tail : journal_->found().tails) {
      if (tail.queue == queue) return &tail;
    }
    return nullptr;
  }

  uint64_t appended_ = 0;
};

Id128 Boot(uint8_t n) {
  Id128 id;
  id.bytes[3] = n;
  return id;
}

TEST_F(PositionsTest, ABlockComesBackAndGarbageIsNone) {
  Positions positions;
  positions.head.segment = 7;
  positions.head.epoch = {Boot(1), 4, "gw", "shop"};
  positions.head.positions = {{Boot(1), Queue::kInventory, 12, 3}, {Boot(2), Queue::kShopBulk, 9, 8}};
  positions.head.others = {{Boot(2), 3, "gw", "old shop"}, {Boot(9), 1, "gw", "shop"}};
  positions.sequence = 88;
  positions.boot = Boot(5);
  positions.closed = true;
  positions.safe_limit = {20, 1, 2, 3};
  const std::string block = EncodePositions(positions);
  ASSERT_EQ(block.size(), kBlockBytes);
  const auto back = DecodePositions(block);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->head.positions, positions.head.positions);
  ASSERT_EQ(back->head.others.size(), 1u) << "of the ninth there is no position";
  EXPECT_EQ(back->head.others[0].shop, "old shop");
  EXPECT_EQ(back->sequence, 88u);
  EXPECT_EQ(back->boot, Boot(5));
  EXPECT_TRUE(back->closed);
  EXPECT_EQ(back->safe_limit, positions.safe_limit);
  EXPECT_FALSE(DecodeSegmentHead(block).ok());
  const size_t whole = kHeaderBytes + DecodeHeader(block).length;
  for (size_t size = 0; size < whole; ++size) EXPECT_FALSE(DecodePositions(block.substr(0, size)).ok()) << size;
  EXPECT_FALSE(DecodePositions(std::string(kBlockBytes, '\0')).ok());
}

TEST_F(PositionsTest, WhatTheLastSyncCoveredIsKnownWhenItsSegmentIsGone) {
  options_.boot = Boot(1);
  Open();
  const EpochId epoch = journal_->epoch().id;
  AppendMany(50);
  Sync();
  AppendMany(20, Queue::kAttendance);
  Sync();
  Kill();
  Zero(NewestRecords());
  Open();
  EXPECT_EQ(journal_->Holds(epoch, kQueue).last, 50u);
  EXPECT_EQ(journal_->Holds(epoch, Queue::kAttendance).last, 20u);
  EXPECT_EQ(journal_->Holds(epoch, Queue::kShopBulk).last, 0u);
  ASSERT_NE(TailOf(kQueue), nullptr);
  EXPECT_EQ(TailOf(kQueue)->read_to, 0u);
  EXPECT_EQ(TailOf(kQueue)->taken_to, 50u);
  EXPECT_EQ(TailOf(kQueue)->limit, 50u) << "the machine ran on: the page cache has the newest block";
  EXPECT_TRUE(TailOf(kQueue)->counted);
  ASSERT_EQ(journal_->found().epochs.size(), 1u) << "though no segment speaks of it";
  EXPECT_EQ(journal_->found().epochs[0].shop, "shop");
  // It is known until it is acknowledged, over further starts and without the positions.
  const EpochId second = journal_->epoch().id;
  Reopen();
  EXPECT_EQ(journal_->Holds(epoch, kQueue).last, 50u);
  journal_.reset();
  fs::remove(PathOf("journal.positions"));
  fs::remove(PathOf("journal.positions-copy"));
  Open();
  EXPECT_EQ(journal_->Holds(epoch, kQueue).last, 50u) << "each segment's head has it too";
  EXPECT_EQ(journal_->found().epochs.front().id, epoch);
  EXPECT_NE(journal_->epoch().id, second);
  journal_->Acknowledged(epoch, kQueue, 50, 0);
  journal_->Acknowledged(epoch, Queue::kAttendance, 20, 0);
  Reopen();
  EXPECT_EQ(journal_->Holds(epoch, kQueue).last, 0u);
}

TEST_F(PositionsTest, AfterAPowerCutTheLimitIsNamedToo) {
  options_.boot = Boot(1);
  Open();
  const EpochId epoch = journal_->epoch().id;
  AppendMany(50);
  Sync();
  Kill();
  options_.boot = Boot(2);
  Zero(NewestRecords());
  Open();
  ASSERT_NE(TailOf(kQueue), nullptr);
  EXPECT_EQ(TailOf(kQueue)->taken_to, 50u);
  EXPECT_GT(TailOf(kQueue)->limit, 50u);
  EXPECT_LE(TailOf(kQueue)->limit, 50u + 200);
  EXPECT_EQ(journal_->Holds(epoch, kQueue).last, TailOf(kQueue)->limit);
}

TEST_F(PositionsTest, NothingIsSaidOfAnUndamagedEnd) {
  options_.boot = Boot(1);
  for (const bool power_cut : {false, true}) {
    Open();
    const EpochId epoch = journal_->epoch().id;
    AppendMany(50);
    Sync();
    AppendMany(7);   // never synced, and there all the same
    Kill();
    if (power_cut) options_.boot = Boot(2);
    Open();
    EXPECT_TRUE(journal_->found().tails.empty());
    EXPECT_EQ(journal_->Holds(epoch, kQueue).last, 57u);
    journal_.reset();
  }
}

TEST_F(PositionsTest, ATornLastRecordIsNoLossButItsBoundIsTold) {
  options_.boot = Boot(1);
  Open();
  const EpochId epoch = journal_->epoch().id;
  AppendMany(50);
  Sync();
  AppendMany(1);
  Kill();
  options_.boot = Boot(2);
  const std::string name = NewestRecords();
  std::string content = Content(name);
  const size_t at = content.rfind(BodyOf(51));
  ASSERT_NE(at, std::string::npos);
  content[at] ^= 1;
  Overwrite(name, content);
  Open();
  EXPECT_EQ(journal_->Holds(epoch, kQueue).last, 50u);
  ASSERT_NE(TailOf(kQueue), nullptr);
  EXPECT_FALSE(TailOf(kQueue)->counted);
  EXPECT_EQ(TailOf(kQueue)->read_to, 50u);
  EXPECT_GT(TailOf(kQueue)->limit, 50u);
}

TEST_F(PositionsTest, AnOrderlyStopLeavesNothingUnknown) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  AppendMany(50);
  Reopen();
  journal_.reset();
  // Both runs' segments; the second took nothing.
  for (const auto& entry : fs::directory_iterator(options_.folder)) {
    if (entry.path().extension() == ".seg") Zero(entry.path().filename());
  }
  Open();
  EXPECT_EQ(journal_->Holds(epoch, kQueue).last, 50u);
  EXPECT_TRUE(journal_->found().tails.empty()) << "the last run took nothing";
}

TEST_F(PositionsTest, NoSafeNumberIsAboveTheLimitOnTheMedium) {
  options_.boot = Boot(1);
  options_.max_segments = 60;
  SeededRandom dice(5);
  for (int round = 0; round < 40; ++round) {
    fakes::TempFolder other;
    fakes::FaultyFiles files;
    options_.folder = other / "journal";
    std::mutex mu;
    uint64_t safe = 0;
    auto opened = Journal::Open(options_, "gw", "shop", 1, files, clock_, random_, nullptr);
    ASSERT_TRUE(opened.ok()) << opened.status();
    auto journal = *std::move(opened);
    const EpochId epoch = journal->epoch().id;
    const uint64_t count = dice.Below(2000);
    for (uint64_t n = 1; n <= count; ++n) {
      ASSERT_TRUE(journal->Append({kQueue, IdOf(n), 0, BodyOf(n)}, [&mu, &safe, n](const absl::Status& status) {
                    std::lock_guard lock(mu);
                    if (status.ok()) safe = std::max(safe, n);
                  }).ok());
      if (dice.Below(50) == 0) {
        ASSERT_TRUE(journal->Sync().ok());
      }
    }
    // The power goes, then every segment is lost.
    files.SetOnSync([](const std::string&) { return absl::InternalError("power is gone"); });
    journal.reset();
    files.SetOnSync(nullptr);
    files.PowerCut(dice);
    for (const auto& entry : fs::directory_iterator(options_.folder)) {
      if (entry.path().extension() == ".seg") fs::remove(entry.path());
    }
    Options after = options_;
    after.boot = Boot(2);
    opened = Journal::Open(after, "gw", "shop", 1, files, clock_, random_, nullptr);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_GE((*opened)->Holds(epoch, kQueue).last, safe) << "round " << round;
  }
}

TEST_F(PositionsTest, WhatEarlierRunsStillOweIsNotedUntilItIsAcknowledged) {
  Open();
  // As the outbox tells it of what it holds.
  const Epoch old{Boot(77), 0, "gw", "shop"};
  journal_->Remember(old, kQueue, 1000, 400);
  journal_->Remember({Boot(78), 0, "another", "shop"}, kQueue, 10, 0);
  for (int i = 0; i < 5; ++i) Reopen();
  EXPECT_EQ(journal_->Holds(old.id, kQueue).last, 1000u);
  EXPECT_EQ(journal_->Holds(old.id, kQueue).acked_to, 400u);
  EXPECT_EQ(journal_->Holds(Boot(78), kQueue).last, 0u) << "what another gateway accepted is not ours to send (R14)";
  EXPECT_GT(journal_->epoch().ordinal, 0u);
}

TEST_F(PositionsTest, ADamagedFileIsSetAsideAndCostsNothing) {
  options_.max_segments = 20;
  for (const int way : {0, 1, 2, 3}) {
    Open();
    const EpochId epoch = journal_->epoch().id;
    AppendMany(10);
    Kill();
    const std::string path = PathOf("journal.positions");
    if (way == 0) fs::resize_file(path, 0);
    if (way == 1) Zero("journal.positions");
    if (way == 2) Overwrite("journal.positions", std::string(9000, 'z'));
    if (way == 3) fs::remove(path), fs::create_directory(path);
    Open();
    EXPECT_FALSE(journal_->found().positions.ok()) << way;
    EXPECT_TRUE(fs::exists(StrCat(path, ".bad-", way + 1))) << way;
    EXPECT_EQ(ReadAll(epoch).size(), 10u) << way;
    EXPECT_EQ(fs::file_size(path), 2 * kBlockBytes) << way;
    for (const auto& segment : journal_->found().segments) EXPECT_TRUE(segment.status.ok()) << segment.status;
    journal_.reset();
  }
}

TEST_F(PositionsTest, TheCopyKnowsWhatTheFileKnew) {
  options_.boot = Boot(1);
  options_.max_segments = 20;
  for (const std::string name : {"journal.positions", "journal.positions-copy"}) {
    Open();
    const EpochId epoch = journal_->epoch().id;
    AppendMany(30);
    Sync();
    Kill();
    Zero(NewestRecords());
    Zero(name);
    Open();
    EXPECT_EQ(journal_->Holds(epoch, kQueue).last, 30u) << name;
    EXPECT_FALSE(journal_->found().positions.ok());
    EXPECT_TRUE(fs::exists(PathOf(name + ".bad-1")));
    journal_.reset();
  }
}

TEST_F(PositionsTest, OneThatCannotBeWrittenHoldsNobodyUp) {
  files_.SetOnWrite([](const std::string& path, uint64_t, size_t size) -> int64_t {
    return path.find("positions") != std::string::npos ? -1 : static_cast<int64_t>(size);
  });
  Open();
  for (int i = 1; i <= 10; ++i) Append(i, safe_.Expect());
  ASSERT_TRUE(safe_.WaitFor(10));
  EXPECT_EQ(safe_.ok(), 10u);
  EXPECT_TRUE(journal_->figures().positions_failing);
  EXPECT_GE(journal_->figures().position_failures, 1u);
  files_.SetOnWrite(nullptr);
  for (int i = 11; journal_->figures().positions_failing; ++i) {
    journal_->Release(journal_->epoch().id, kQueue, Append(i));
    ASSERT_TRUE(journal_->Sync().ok());
  }
  EXPECT_TRUE(fs::exists(PathOf("journal.positions")));
}

// With the link up nothing but the syncs of every few seconds is written, and in an outage a block a second.
TEST_F(PositionsTest, ItIsFlushedOnceASecondAtMost) {
  Open();
  std::atomic<int> flushes = 0;
  files_.SetOnSync([&](const std::string& path) {
    if (path.find("positions") != std::string::npos) ++flushes;
    return absl::OkStatus();
  });
  AppendMany(1);
  Sync();
  const int64_t began = clock_.MonotonicUs();
  for (int i = 0; i < 200; ++i) {
    AppendMany(1);
    Sync();
    journal_->Release(journal_->epoch().id, kQueue, appended_);
  }
  const int64_t seconds = (clock_.MonotonicUs() - began) / 1'000'000;
  files_.SetOnSync(nullptr);
  // Those of the growing limit: 64 numbers ahead at least, then twice what came since the last.
  EXPECT_LE(flushes, seconds + 4);
}

}  // namespace
}  // namespace sluice::journal
