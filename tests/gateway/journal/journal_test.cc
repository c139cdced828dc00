#include "gateway/journal/journal.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <map>
#include <mutex>
#include <set>

#include "base/crc32c.h"
#include "base/random.h"
#include "base/strings.h"
#include "gateway/journal/format.h"
#include "tests/fakes/faulty_files.h"
#include "tests/fakes/temp_folder.h"

namespace sluice::journal {
namespace {

constexpr Queue kQueue = Queue::kInventory;

EventId IdOf(uint64_t n) {
  EventId id;
  for (int i = 0; i < 8; ++i) id.bytes[i] = static_cast<uint8_t>(n >> (8 * i));
  return id;
}

std::string BodyOf(uint64_t n) { return StrCat("the event number ", n, std::string(n % 97, 'x')); }

// Counts completions and waits for them.
class Safe {
 public:
  Completion Expect() {
    std::lock_guard lock(mu_);
    const size_t at = calls_.size();
    calls_.push_back(0);
    return [this, at](absl::Status status) {
      std::lock_guard inner(mu_);
      ++calls_[at];
      (status.ok() ? ok_ : failed_)++;
      changed_.notify_all();
    };
  }
  bool WaitFor(size_t count) {
    std::unique_lock lock(mu_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return ok_ + failed_ >= count; });
  }
  size_t ok() const {
    std::lock_guard lock(mu_);
    return ok_;
  }
  size_t failed() const {
    std::lock_guard lock(mu_);
    return failed_;
  }
  bool EachOnce() const {
    std::lock_guard lock(mu_);
    return std::all_of(calls_.begin(), calls_.end(), [](int calls) { return calls == 1; });
  }

 private:
  mutable std::mutex mu_;
  std::condition_variable changed_;
  std::vector<int> calls_;
  size_t ok_ = 0, failed_ = 0;
};

class RecordingTail final : public Tail {
 public:
  void OnAppended(Item item) override {
    EXPECT_EQ(item.first, ++last_[item.queue]) << "in number order";
  }
  void OnSpaceNeeded(uint64_t) override {
    std::lock_guard lock(mu_);
    ++space_needed_;
    changed_.notify_all();
  }
  void OnSegmentChange() override { ++segment_changes_; }
  void WaitForSpaceNeeded() {
    std::unique_lock lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return space_needed_ > 0; }));
  }
  int segment_changes() const { return segment_changes_; }

 private:
  std::map<Queue, uint64_t> last_;
  std::mutex mu_;
  std::condition_variable changed_;
  int space_needed_ = 0;
  std::atomic<int> segment_changes_ = 0;
};

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.folder = folder_ / "journal";
    options_.segment_bytes = 32 << 10;
    options_.max_record_bytes = 4 << 10;
    options_.min_segments = 2;
    options_.max_segments = 4;
  }

  absl::Status TryOpen(const std::string& gateway = "gw") {
    auto journal = Journal::Open(options_, gateway, "shop", 1, files_, clock_, random_, sealer_.get());
    if (!journal.ok()) return journal.status();
    journal_ = *std::move(journal);
    journal_->Start(&tail_);
    return absl::OkStatus();
  }
  void Open() {
    tail_holder_ = std::make_unique<RecordingTail>();
    tail_.target = tail_holder_.get();
    const absl::Status status = TryOpen();
    ASSERT_TRUE(status.ok()) << status;
  }
  void Reopen() {
    journal_.reset();
    Open();
  }
  absl::StatusOr<uint64_t> TryAppend(uint64_t n, Completion done = nullptr, Queue queue = kQueue) {
    return journal_->Append({queue, IdOf(n), static_cast<int64_t>(n), BodyOf(n)}, std::move(done));
  }
  uint64_t Append(uint64_t n, Completion done = nullptr, Queue queue = kQueue) {
    const auto number = TryAppend(n, std::move(done), queue);
    EXPECT_TRUE(number.ok()) << number.status();
    return number.value_or(0);
  }
  std::vector<Item> ReadAll(const EpochId& epoch, uint64_t from = 1, Queue queue = kQueue) {
    std::vector<Item> items;
    const absl::Status status = journal_->Read(epoch, queue, from, UINT64_MAX, [&](Item item) {
      items.push_back(std::move(item));
      return true;
    });
    EXPECT_TRUE(status.ok()) << status;
    return items;
  }
  void ExpectRecords(const std::vector<Item>& items, uint64_t first, uint64_t last) {
    ASSERT_EQ(items.size(), last - first + 1);
    for (uint64_t n = first; n <= last; ++n) {
      EXPECT_EQ(items[n - first].first, n);
      EXPECT_EQ(items[n - first].bytes, BodyOf(n));
      EXPECT_EQ(items[n - first].id, IdOf(n));
      EXPECT_EQ(items[n - first].accepted_ms, static_cast<int64_t>(n));
    }
  }
  std::string PathOf(const std::string& name) const { return options_.folder + "/" + name; }
  std::string Content(const std::string& name) const {
    std::ifstream in(PathOf(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Overwrite(const std::string& name, const std::string& content) const {
    std::ofstream(PathOf(name), std::ios::binary) << content;
  }
  // The file that holds the newest segment with records.
  std::string NewestFile() const { return journal_->found().segments.back().file; }

  // Lets the recording tail change under a running journal.
  struct Forward final : Tail {
    RecordingTail* target = nullptr;
    void OnAppended(Item item) override { target->OnAppended(std::move(item)); }
    void OnSpaceNeeded(uint64_t segment) override { target->OnSpaceNeeded(segment); }
    void OnSegmentChange() override { target->OnSegmentChange(); }
  };

  fakes::TempFolder folder_;
  Options options_;
  std::atomic<int> faults_ = 0;
  fakes::FaultyFiles files_;
  SystemClock clock_;
  SeededRandom random_{11};
  std::unique_ptr<Sealer> sealer_;
  std::unique_ptr<RecordingTail> tail_holder_;
  Forward tail_;
  Safe safe_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, NumbersRunFromOneInEachQueue) {
  Open();
  EXPECT_EQ(Append(1), 1u);
  EXPECT_EQ(Append(2), 2u);
  EXPECT_EQ(Append(1, nullptr, Queue::kShopBulk), 1u);
  EXPECT_EQ(journal_->LastNumber(kQueue), 2u);
  ExpectRecords(ReadAll(journal_->epoch().id), 1, 2);
}

TEST_F(JournalTest, CompletesEachWaiterOnceWhenSynced) {
  Open();
  for (int i = 1; i <= 100; ++i) Append(i, safe_.Expect());
  ASSERT_TRUE(safe_.WaitFor(100));
  EXPECT_EQ(safe_.ok(), 100u);
  EXPECT_TRUE(safe_.EachOnce());
  EXPECT_GE(files_.syncs(), 1u);
  EXPECT_NE(journal_->SyncedAtMs(kQueue, 100), 0);
  journal_->WhenSafe(kQueue, 50, safe_.Expect());
  EXPECT_EQ(safe_.ok(), 101u) << "at once";
}

TEST_F(JournalTest, AnAcknowledgementMakesSafeWithoutASync) {
  Open();
  journal_->LinkUp(Queue::kShopBulk, true);
  journal_->Acknowledged(journal_->epoch().id, Queue::kShopBulk, 0, 10'000'000);   // waits 200 ms from now on
  Append(1, safe_.Expect(), Queue::kShopBulk);
  const uint64_t syncs = journal_->figures().syncs;
  journal_->Acknowledged(journal_->epoch().id, Queue::kShopBulk, 1, 1000);
  EXPECT_EQ(safe_.ok(), 1u);
  EXPECT_EQ(journal_->figures().syncs, syncs);
}

TEST_F(JournalTest, TheNextRecordAfterASyncBeginsANewBlock) {
  Open();
  Append(1);
  ASSERT_TRUE(journal_->Sync().ok());
  const uint64_t before = journal_->figures().appended;
  uint64_t offset = 0;
  files_.SetOnWrite([&](const std::string&, uint64_t at, size_t size) {
    offset = at;
    return static_cast<int64_t>(size);
  });
  Append(2);
  EXPECT_EQ(offset % kBlockBytes, 0u);
  Append(3);
  EXPECT_NE(offset % kBlockBytes, 0u);
  files_.SetOnWrite(nullptr);
  EXPECT_EQ(journal_->figures().appended, before + 2);
  const EpochId epoch = journal_->epoch().id;
  Reopen();
  ExpectRecords(ReadAll(epoch), 1, 3);
}

TEST_F(JournalTest, ARestartIsANewEpochAndKeepsTheOldOne) {
  Open();
  const Epoch first = journal_->epoch();
  for (int i = 1; i <= 10; ++i) Append(i);
  Reopen();
  EXPECT_TRUE(journal_->found().clean_stop);
  ASSERT_EQ(journal_->found().epochs.size(), 1u);
  EXPECT_EQ(journal_->found().epochs[0].id, first.id);
  EXPECT_EQ(journal_->found().epochs[0].shop, "shop");
  EXPECT_GT(journal_->epoch().ordinal, first.ordinal) << "whatever the caller believes";
  EXPECT_EQ(Append(1), 1u);
  ExpectRecords(ReadAll(first.id), 1, 10);
  EXPECT_EQ(journal_->Holds(first.id, kQueue).last, 10u);
  std::vector<uint64_t> order;
  ASSERT_TRUE(journal_->ReadAll([&](Item item) {
    order.push_back(item.first);
    return true;
  }).ok());
  EXPECT_EQ(order.size(), 11u);
  EXPECT_EQ(order.back(), 1u);
}

TEST_F(JournalTest, ReadsFromTheMiddleAcrossSegments) {
  options_.max_segments = 40;
  Open();
  for (int i = 1; i <= 3000; ++i) Append(i, nullptr);
  EXPECT_GT(journal_->figures().segments, 5u);
  for (uint64_t from : {1u, 2u, 777u, 1500u, 2999u, 3000u}) {
    const auto items = ReadAll(journal_->epoch().id, from);
    ExpectRecords(items, from, 3000);
  }
  EXPECT_TRUE(ReadAll(journal_->epoch().id, 3001).empty());
}

// The index's marks stand every 64 KiB: one may fall on the first record after a sync, which names the bytes skipped before it.
TEST_F(JournalTest, ReadsFromAMarkThatStandsBehindASync) {
  options_.segment_bytes = 1 << 20;
  Open();
  uint64_t n = 0;
  while (n < 2000) {
    for (int i = 0; i < 7; ++i) Append(++n);
    ASSERT_TRUE(journal_->Sync().ok());
    Append(n, nullptr, Queue::kShopUrgent);   // the first of each block is rare
    ASSERT_TRUE(journal_->Sync().ok());
  }
  for (uint64_t from = 1; from < n; from += 13) ASSERT_EQ(ReadAll(journal_->epoch().id, from).size(), n - from + 1) << from;
  const uint64_t urgent = journal_->LastNumber(Queue::kShopUrgent);
  for (uint64_t from = 1; from <= urgent; ++from) {
    ASSERT_EQ(ReadAll(journal_->epoch().id, from, Queue::kShopUrgent).size(), urgent - from + 1) << from;
  }
}

TEST_F(JournalTest, ReadsFromAnywhereInALargeSegmentWithSyncsBetween) {
  options_.segment_bytes = 2 << 20;
  Open();
  constexpr uint64_t kCount = 6000;
  for (uint64_t i = 1; i <= kCount; ++i) {
    Append(i);
    if (i % 37 == 0) {
      ASSERT_TRUE(journal_->Sync().ok());
    }
  }
  for (uint64_t from = 1; from <= kCount; from += 61) {
    uint64_t next = from;
    ASSERT_TRUE(journal_->Read(journal_->epoch().id, kQueue, from, from + 99, [&](Item item) {
      EXPECT_EQ(item.first, next++);
      return true;
    }).ok());
    ASSERT_EQ(next, std::min(from + 100, kCount + 1));
  }
}

TEST_F(JournalTest, SegmentsAreRecycledOnceReleasedAndRefusedBefore) {
  Open();
  uint64_t n = 0;
  absl::Status status;
  while (status.ok()) status = TryAppend(n + 1).status(), n += status.ok();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  tail_holder_->WaitForSpaceNeeded();
  EXPECT_EQ(journal_->figures().segments, 4u);
  EXPECT_FALSE(journal_->WaitForSpace(0));
  const uint64_t last = journal_->LastNumber(kQueue);
  EXPECT_EQ(last, n) << "a refused record takes no number";
  journal_->Release(journal_->epoch().id, kQueue, last / 2);
  ASSERT_TRUE(journal_->WaitForSpace(20'000));
  EXPECT_EQ(Append(n + 1), n + 1);
  const auto items = ReadAll(journal_->epoch().id, last / 2 + 1);
  ExpectRecords(items, last / 2 + 1, n + 1);
  EXPECT_EQ(journal_->figures().segments, 4u);
  EXPECT_GT(tail_holder_->segment_changes(), 0);
}

TEST_F(JournalTest, AShortWriteTakesNoNumberAndHarmsNothing) {
  Open();
  Append(1);
  faults_ = 2;   // also the immediate second try
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

TEST_F(JournalTest, ASyncBehindAShortWriteBeginsANewSegment) {
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

TEST_F(JournalTest, AfterAFailedSyncEverythingIsWrittenAgainElsewhere) {
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

TEST_F(JournalTest, WhileNothingCanBeSyncedNobodyIsAnsweredAndAppendsAreRefused) {
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

TEST_F(JournalTest, WaitersThatAreNotSafeAtTheEndAreToldSo) {
  Open();
  files_.SetOnSync([](const std::string&) { return absl::InternalError("EIO"); });
  Append(1, safe_.Expect());
  journal_.reset();
  EXPECT_EQ(safe_.failed(), 1u);
  EXPECT_TRUE(safe_.EachOnce());
}

TEST_F(JournalTest, ASecondProcessIsRefused) {
  Open();
  auto second = Journal::Open(options_, "gw", "shop", 1, files_, clock_, random_, nullptr);
  ASSERT_FALSE(second.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

TEST_F(JournalTest, ARecordThatIsTooLargeIsRefused) {
  Open();
  EXPECT_TRUE(absl::IsInvalidArgument(
      journal_->Append({kQueue, {}, 0, std::string(options_.max_record_bytes + 1, 'x')}, nullptr).status()));
  EXPECT_TRUE(journal_->Append({kQueue, {}, 0, std::string(options_.max_record_bytes, 'x')}, nullptr).ok());
}

TEST_F(JournalTest, TruncatedOrGarbledAnywhereItStartsAndKeepsWhatCameBefore) {
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

TEST_F(JournalTest, ABadRecordEndsItsSegmentAndReadingGoesOnWithTheNext) {
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

TEST_F(JournalTest, ADamagedHeadIsKeptAside) {
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

TEST_F(JournalTest, ASegmentOfAnUnknownVersionIsLeftUntouched) {
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

TEST_F(JournalTest, PersonalRecordsAreSealedOnDisk) {
  std::array<uint8_t, Sealer::kKeyBytes> key{};
  key[3] = 5;
  sealer_ = std::make_unique<Sealer>(key);
  Open();
  const EpochId epoch = journal_->epoch().id;
  ASSERT_TRUE(journal_->Append({Queue::kAttendance, IdOf(1), 0, "user 4711 by finger"}, nullptr).ok());
  ASSERT_TRUE(journal_->Append({kQueue, IdOf(2), 0, "a sale in the clear"}, nullptr).ok());
  Reopen();
  std::string all;
  const auto names = files_.List(options_.folder);
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) all += Content(name);
  EXPECT_EQ(all.find("4711"), std::string::npos);
  EXPECT_NE(all.find("a sale in the clear"), std::string::npos);
  const auto items = ReadAll(epoch, 1, Queue::kAttendance);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].bytes, "user 4711 by finger");
}

// The promise itself: what a completion called safe is there after any power cut, under its number, once.
TEST_F(JournalTest, WhatWasSafeSurvivesPowerCuts) {
  options_.max_segments = 6;
  SeededRandom dice(4242);
  for (int round = 0; round < 150; ++round) {
    fakes::TempFolder other;
    options_.folder = other / "journal";
    fakes::FaultyFiles files;
    std::map<std::string, std::map<uint64_t, uint64_t>> safe;   // epoch -> number -> n
    std::mutex mu;
    std::map<std::string, uint64_t> released;
    for (int life = 0; life < 3; ++life) {
      auto opened = Journal::Open(options_, "gw", "shop", 1, files, clock_, random_, nullptr);
      ASSERT_TRUE(opened.ok()) << opened.status();
      auto journal = *std::move(opened);
      for (const Epoch& epoch : journal->found().epochs) {
        std::map<uint64_t, uint64_t> have;
        ASSERT_TRUE(journal->Read(epoch.id, kQueue, 1, UINT64_MAX, [&](Item item) {
          uint64_t n = 0;
          for (int i = 0; i < 8; ++i) n |= static_cast<uint64_t>(item.id.bytes[i]) << (8 * i);
          EXPECT_EQ(item.bytes, BodyOf(n));
          EXPECT_TRUE(have.emplace(item.first, n).second);
          return true;
        }).ok());
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
