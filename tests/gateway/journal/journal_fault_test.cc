// Torn writes, failed syncs, damaged segments, power cuts (delivery rule R5).
#include "tests/gateway/journal/journal_fixture.h"

#include <filesystem>

namespace sluice::journal {
namespace {

using JournalFaultTest = JournalTest;

TEST_F(JournalFaultTest, AShortWriteTakesNoNumberAndHarmsNothing) {
  Open();
  Append(1);
  faults_ = 2;  // also the immediate second try
  files_.SetOnWrite([&](const std::string&, uint64_t, size_t size) -> int64_t {
    return faults_-- > 0 ? static_cast<int64_t>(size / 2) : static_cast<int64_t>(size);
  });
  EXPECT_FALSE(TryAppend(99).ok());
  EXPECT_EQ(journal_->LastNumber(kQueue), 1u);
  EXPECT_EQ(Append(2), 2u);
  const EpochId epoch = journal_->epoch().id;
  Reopen();
  ExpectRecords(ReadAll(epoch), 1, 2);
  EXPECT_TRUE(journal_->found().segments.back().status.ok());
}

// Found by replaying power cuts, seed 617395718: the record was refused, its number given to another, and the first one read.
TEST_F(JournalFaultTest, ARecordIsTakenWhereAShortWriteLacksOnlyWhatStoodThere) {
  Open();
  Append(1);
  faults_ = 2;
  files_.SetOnWrite([&](const std::string&, uint64_t, size_t size) -> int64_t {
    return faults_-- > 0 ? static_cast<int64_t>(size) - 1 : static_cast<int64_t>(size);
  });
  const auto refused = journal_->Append({kQueue, IdOf(99), 99, std::string("ends in a zero\0", 15)}, nullptr);
  ASSERT_TRUE(journal_->Sync().ok());
  const uint64_t next = refused.ok() ? 3 : 2;
  EXPECT_EQ(Append(next), next);
  const EpochId epoch = journal_->epoch().id;
  Reopen();
  const auto items = ReadAll(epoch);
  ASSERT_EQ(items.size(), next);
  EXPECT_EQ(items.back().id, IdOf(next)) << "what was taken is there, not what was refused";
}

TEST_F(JournalFaultTest, AFullDiskAtStartLeavesFewerSegments) {
  options_.min_segments = options_.max_segments = 3;
  Open();
  for (int i = 1; i <= 5; ++i) Append(i);
  const EpochId epoch = journal_->epoch().id;
  journal_.reset();
  // Never used, and gone: a new one is wanted and there is no room for it.
  ASSERT_EQ(std::remove(PathOf("journal-000003.seg").c_str()), 0);
  files_.SetOnWrite([](const std::string& path, uint64_t, size_t size) -> int64_t {
    return path.ends_with(".new") ? 0 : static_cast<int64_t>(size);
  });
  Open();
  Append(1);
  ExpectRecords(ReadAll(epoch), 1, 5);
}

TEST_F(JournalFaultTest, ASegmentSurvivesTheLossOfEitherHeadBlock) {
  for (const size_t block : {0, 1}) {
    Open();
    const EpochId epoch = journal_->epoch().id;
    for (int i = 1; i <= 10; ++i) Append(i);
    ASSERT_TRUE(journal_->Sync().ok());
    for (int i = 11; i <= 20; ++i) Append(i);
    ASSERT_TRUE(journal_->Sync().ok());
    Reopen();
    const std::string name = journal_->found().segments.back().file;
    std::string content = Content(name);
    journal_.reset();
    content.replace(block * kBlockBytes, kBlockBytes, kBlockBytes, '\xff');
    Overwrite(name, content);
    Open();
    ExpectRecords(ReadAll(epoch), 1, 20);
    journal_.reset();
  }
}

TEST_F(JournalFaultTest, ASyncBehindAShortWriteBeginsANewSegment) {
  Open();
  Append(1);
  faults_ = 2;
  files_.SetOnWrite([&](const std::string&, uint64_t, size_t size) -> int64_t {
    return faults_-- > 0 ? static_cast<int64_t>(size / 2) : static_cast<int64_t>(size);
  });
  EXPECT_FALSE(TryAppend(99).ok());
  const uint64_t changes = journal_->figures().segment_changes;
  ASSERT_TRUE(journal_->Sync().ok());
  EXPECT_EQ(journal_->figures().segment_changes, changes + 1);
  for (int i = 2; i <= 5; ++i) Append(i);
  const EpochId epoch = journal_->epoch().id;
  Reopen();
  ExpectRecords(ReadAll(epoch), 1, 5);
}

TEST_F(JournalFaultTest, AfterAFailedSyncEverythingIsWrittenAgainElsewhere) {
  Open();
  for (int i = 1; i <= 20; ++i) Append(i);
  ASSERT_TRUE(journal_->Sync().ok());
  std::set<std::string> failed;
  std::atomic<bool> armed = true;
  std::mutex mu;
  files_.SetOnSync([&](const std::string& path) -> absl::Status {
    std::lock_guard lock(mu);
    EXPECT_FALSE(failed.contains(path)) << "a failed handle is never synced again";
    if (!armed.exchange(false)) return absl::OkStatus();
    failed.insert(path);
    return absl::InternalError("EIO");
  });
  for (int i = 21; i <= 40; ++i) Append(i, safe_.Expect());
  ASSERT_TRUE(safe_.WaitFor(20));
  EXPECT_EQ(safe_.ok(), 20u);
  EXPECT_EQ(journal_->figures().sync_failures, 1u);
  for (int i = 41; i <= 50; ++i) Append(i);
  ExpectRecords(ReadAll(journal_->epoch().id), 1, 50);
  const EpochId epoch = journal_->epoch().id;
  files_.SetOnSync(nullptr);
  Reopen();
  ExpectRecords(ReadAll(epoch), 1, 50);
}

TEST_F(JournalFaultTest, WhileNothingCanBeSyncedNobodyIsAnsweredAndAppendsAreRefused) {
  Open();
  files_.SetOnSync([](const std::string&) { return absl::InternalError("EIO"); });
  Append(1, safe_.Expect());
  EXPECT_FALSE(journal_->Sync().ok());
  EXPECT_EQ(safe_.ok(), 0u);
  EXPECT_TRUE(absl::IsResourceExhausted(TryAppend(2).status()));
  files_.SetOnSync(nullptr);
  ASSERT_TRUE(journal_->WaitForSpace(20'000)) << "tried again by itself";
  ASSERT_TRUE(safe_.WaitFor(1));
  EXPECT_EQ(safe_.ok(), 1u);
  EXPECT_EQ(Append(2), 2u);
  ExpectRecords(ReadAll(journal_->epoch().id), 1, 2);
}

TEST_F(JournalFaultTest, WaitersThatAreNotSafeAtTheEndAreToldSo) {
  Open();
  files_.SetOnSync([](const std::string&) { return absl::InternalError("EIO"); });
  Append(1, safe_.Expect());
  journal_.reset();
  EXPECT_EQ(safe_.failed(), 1u);
  EXPECT_TRUE(safe_.EachOnce());
}

TEST_F(JournalFaultTest, TruncatedOrGarbledAnywhereItStartsAndKeepsWhatCameBefore) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 1; i <= 40; ++i) {
    Append(i);
    if (i % 10 == 0) {
      ASSERT_TRUE(journal_->Sync().ok());
    }
  }
  Reopen();
  const std::string file = NewestFile();
  journal_.reset();
  const std::string good = Content(file);
  for (size_t cut = 0; cut < 24 << 10; cut += 331) {
    for (const bool garbage : {false, true}) {
      std::string bad = good.substr(0, std::max<size_t>(cut, 1));
      if (garbage) {
        bad = good;
        for (size_t i = cut; i < std::min<size_t>(cut + 200, bad.size()); ++i) bad[i] = static_cast<char>(i * 31 + 7);
      }
      fakes::TempFolder other;
      options_.folder = other / "journal";
      ASSERT_TRUE(files_.MakeFolder(options_.folder).ok());
      Overwrite(file, bad);
      Open();
      const auto items = ReadAll(epoch);
      for (size_t i = 0; i < items.size(); ++i) {
        EXPECT_EQ(items[i].first, i + 1) << "a bad record ends its segment";
        EXPECT_EQ(items[i].bytes, BodyOf(i + 1));
      }
      if (!garbage && cut > 23 << 10) {
        EXPECT_EQ(items.size(), 40u);
      }
      EXPECT_EQ(Append(1), 1u);
      journal_.reset();
    }
  }
}

TEST_F(JournalFaultTest, ABadRecordEndsItsSegmentAndReadingGoesOnWithTheNext) {
  options_.max_segments = 20;
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 1; i <= 1500; ++i) Append(i);
  Reopen();
  const auto segments = journal_->found().segments;
  ASSERT_GT(segments.size(), 3u);
  const std::string file = segments[1].file;
  journal_.reset();
  std::string bad = Content(file);
  bad[kFirstRecordOffset + 5000] = static_cast<char>(bad[kFirstRecordOffset + 5000] ^ 1);
  Overwrite(file, bad);
  Open();
  EXPECT_TRUE(absl::IsDataLoss(journal_->found().segments[1].status));
  EXPECT_EQ(journal_->figures().bad_records, 1u);
  const auto items = ReadAll(epoch);
  EXPECT_LT(items.size(), 1500u);
  EXPECT_EQ(items.back().first, 1500u);
  for (size_t i = 1; i < items.size(); ++i) EXPECT_LT(items[i - 1].first, items[i].first);
}

TEST_F(JournalFaultTest, ADamagedHeadIsKeptAside) {
  Open();
  Append(1);
  Reopen();
  const std::string file = NewestFile();
  journal_.reset();
  std::string bad = Content(file);
  bad.replace(0, kFirstRecordOffset, std::string(kFirstRecordOffset, 'z'));
  Overwrite(file, bad);
  Open();
  EXPECT_EQ(Content(file + ".bad-1"), bad);
  EXPECT_EQ(Append(1), 1u);
}

// R14: what another gateway accepted stays for that one, and ours has its segments all the same.
TEST_F(JournalFaultTest, SegmentsOfAnotherGatewayTakeNoneOfOurs) {
  tail_holder_ = std::make_unique<RecordingTail>();
  tail_.target = tail_holder_.get();
  ASSERT_TRUE(TryOpen("another").ok());
  const EpochId foreign = journal_->epoch().id;
  uint64_t taken = 0;
  while (TryAppend(taken + 1).ok()) ++taken;
  ASSERT_EQ(journal_->figures().segments, options_.max_segments);
  journal_.reset();
  Open();
  EXPECT_EQ(journal_->figures().foreign_segments, options_.max_segments);
  const EpochId ours = journal_->epoch().id;
  for (uint64_t n = 1; n <= 3 * taken; ++n) {
    auto number = TryAppend(n);
    if (!number.ok()) {
      // As a tail would: everything of ours is stored.
      journal_->Release(ours, kQueue, n - 1);
      ASSERT_TRUE(journal_->WaitForSpace(20'000)) << n;
      number = TryAppend(n);
    }
    ASSERT_TRUE(number.ok()) << number.status();
  }
  EXPECT_LE(journal_->figures().segments, 2 * options_.max_segments);
  // The right one finds what it left, all of it.
  journal_.reset();
  ASSERT_TRUE(TryOpen("another").ok());
  ExpectRecords(ReadAll(foreign), 1, taken);
}

TEST_F(JournalFaultTest, WhatLiesInTheirPlaceIsSetAside) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 1; i <= 10; ++i) Append(i);
  Reopen();
  for (const char* name : {"journal-000002.seg", "journal-000009.seg", "journal.lock"}) {
    journal_.reset();
    std::filesystem::remove(PathOf(name));
    std::filesystem::create_directory(PathOf(name));
    Open();
    ExpectRecords(ReadAll(epoch), 1, 10);
    EXPECT_EQ(Append(1), 1u) << name;
  }
  EXPECT_TRUE(std::filesystem::is_directory(PathOf("journal-000009.seg.bad-1")));
  journal_.reset();
  std::filesystem::remove_all(options_.folder);
  std::ofstream(options_.folder) << "not a folder";
  Open();
  EXPECT_EQ(Append(1), 1u);
  EXPECT_TRUE(std::filesystem::exists(options_.folder + ".bad-1"));
}

TEST_F(JournalFaultTest, WithoutRoomForASingleSegmentItTakesNothingUntilThereIs) {
  bool full = true;
  files_.SetOnWrite([&](const std::string& path, uint64_t, size_t size) -> int64_t {
    return full && path.ends_with(".new") ? 0 : static_cast<int64_t>(size);
  });
  Open();
  EXPECT_TRUE(absl::IsResourceExhausted(TryAppend(1).status()));
  full = false;
  ASSERT_TRUE(journal_->WaitForSpace(20'000)) << "tried again by itself";
  EXPECT_EQ(Append(1), 1u);
  ASSERT_TRUE(journal_->Sync().ok());
}

// A card that only reads any more (errors=remount-ro): what is there can still be delivered.
TEST_F(JournalFaultTest, WhatCanOnlyBeReadIsRead) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 1; i <= 10; ++i) Append(i);
  journal_.reset();
  files_.SetOnWrite([](const std::string&, uint64_t, size_t) -> int64_t { return -1; });
  Open();
  ExpectRecords(ReadAll(epoch), 1, 10);
  EXPECT_FALSE(TryAppend(1).ok());
  files_.SetOnWrite(nullptr);
  ASSERT_TRUE(journal_->WaitForSpace(60'000));
  EXPECT_EQ(Append(1), 1u);
}

TEST_F(JournalFaultTest, WhatCannotBeSyncedAtStartIsNotTakenForSafe) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 1; i <= 10; ++i) Append(i);
  journal_.reset();
  std::atomic<bool> failing = true;
  files_.SetOnSync([&](const std::string&) { return failing ? absl::InternalError("EIO") : absl::OkStatus(); });
  Open();
  failing = false;
  ExpectRecords(ReadAll(epoch), 1, 10);
  size_t believed = 0;
  ASSERT_TRUE(journal_->ReadAll([&](Item) { return ++believed > 0; }).ok());
  EXPECT_EQ(believed, 0u) << "devices that send these again must not be told that they are safe";
  ASSERT_TRUE(journal_->WaitForSpace(20'000));
  EXPECT_EQ(Append(1), 1u);
}

TEST_F(JournalFaultTest, PersonalRecordsAreRefusedWhileTheirKeyIsNotKept) {
  sealer_ = std::make_unique<Sealer>(std::array<uint8_t, Sealer::kKeyBytes>{5});
  sealer_->SetMaySeal(false);
  Open();
  EXPECT_TRUE(absl::IsResourceExhausted(TryAppend(1, nullptr, Queue::kAttendance).status()));
  EXPECT_FALSE(journal_->WaitForSpace(20)) << "waiting is not spinning";
  EXPECT_EQ(Append(1), 1u) << "everything else goes on";
  sealer_->SetMaySeal(true);
  EXPECT_TRUE(journal_->WaitForSpace(20));
  EXPECT_EQ(Append(2, nullptr, Queue::kAttendance), 1u);
}

TEST_F(JournalFaultTest, ASegmentOfAnUnknownVersionIsLeftUntouched) {
  Open();
  Append(1);
  Reopen();
  const std::string file = NewestFile();
  journal_.reset();
  std::string other = Content(file);
  for (size_t block : {size_t{0}, kBlockBytes}) {
    if (other[block + kHeaderBytes] != 'S') continue;
    other[block + kHeaderBytes + 8] = 99;
    const size_t size = kHeaderBytes + DecodeHeader(std::string_view(other).substr(block)).length;
    const uint32_t crc = Crc32c(std::string_view(other).substr(block + 4, size - 4));
    for (int i = 0; i < 4; ++i) other[block + i] = static_cast<char>(crc >> (8 * i));
  }
  Overwrite(file, other);
  Open();
  EXPECT_EQ(Content(file + ".version-1"), other);
}

// The promise itself: what a completion called safe is there after any power cut, under its number, once.
TEST_F(JournalFaultTest, WhatWasSafeSurvivesPowerCuts) {
  options_.max_segments = 6;
  SeededRandom dice(4242);
  for (int round = 0; round < 150; ++round) {
    fakes::TempFolder other;
    options_.folder = other / "journal";
    fakes::FaultyFiles files;
    std::map<std::string, std::map<uint64_t, uint64_t>> safe;  // epoch -> number -> n
    std::mutex mu;
    std::map<std::string, uint64_t> released;
    for (int life = 0; life < 3; ++life) {
      auto opened = Journal::Open(options_, "gw", "shop", 1, files, clock_, random_, nullptr);
      ASSERT_TRUE(opened.ok()) << opened.status();
      auto journal = *std::move(opened);
      for (const Epoch& epoch : journal->found().epochs) {
        std::map<uint64_t, uint64_t> have;
        ASSERT_TRUE(journal
                        ->Read(epoch.id, kQueue, 1, UINT64_MAX,
                               [&](Item item) {
                                 uint64_t n = 0;
                                 for (int i = 0; i < 8; ++i) n |= static_cast<uint64_t>(item.id.bytes[i]) << (8 * i);
                                 EXPECT_EQ(item.bytes, BodyOf(n));
                                 EXPECT_TRUE(have.emplace(item.first, n).second);
                                 return true;
                               })
                        .ok());
        for (const auto& [number, n] : safe[epoch.id.ToHex()]) {
          if (number <= released[epoch.id.ToHex()]) continue;
          ASSERT_TRUE(have.contains(number)) << "round " << round << " life " << life << ": lost number " << number;
          EXPECT_EQ(have[number], n);
        }
      }
      const std::string epoch = journal->epoch().id.ToHex();
      const uint64_t count = dice.Below(400);
      for (uint64_t i = 0; i < count; ++i) {
        const uint64_t n = dice.Below(1'000'000);
        const uint64_t number = journal->LastNumber(kQueue) + 1;
        const auto taken = journal->Append({kQueue, IdOf(n), 0, BodyOf(n)}, [&, epoch, number, n](absl::Status status) {
          std::lock_guard lock(mu);
          if (status.ok()) safe[epoch][number] = n;
        });
        if (!taken.ok()) {
          // As a tail would: everything so far is stored elsewhere.
          const uint64_t last = journal->LastNumber(kQueue);
          for (const Epoch& old : journal->found().epochs) {
            released[old.id.ToHex()] = UINT64_MAX;
            journal->Release(old.id, kQueue, UINT64_MAX);
          }
          released[epoch] = last;
          journal->Release(journal->epoch().id, kQueue, last);
          ASSERT_TRUE(journal->WaitForSpace(20'000));
          continue;
        }
        ASSERT_EQ(*taken, number);
        if (dice.Below(40) == 0) {
          ASSERT_TRUE(journal->Sync().ok());
        }
      }
      // From this moment nothing is durable any more, also not what the destructor tries.
      files.SetOnSync([](const std::string&) { return absl::InternalError("power is gone"); });
      journal.reset();
      files.SetOnSync(nullptr);
      files.PowerCut(dice);
    }
  }
}

}  // namespace
}  // namespace sluice::journal
