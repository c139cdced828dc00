// One journal in a folder, with a file system that can be made to fail.
#pragma once

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
#include "gateway/journal/journal.h"
#include "tests/fakes/faulty_files.h"
#include "tests/fakes/temp_folder.h"

namespace sluice::journal {
inline constexpr Queue kQueue = Queue::kInventory;

inline EventId IdOf(uint64_t n) {
  EventId id;
  for (int i = 0; i < 8; ++i) id.bytes[i] = static_cast<uint8_t>(n >> (8 * i));
  return id;
}

inline std::string BodyOf(uint64_t n) { return StrCat("the event number ", n, std::string(n % 97, 'x')); }

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
  void OnAppended(Item item) override { EXPECT_EQ(item.first, ++last_[item.queue]) << "in number order"; }
  void OnSpaceNeeded(uint64_t) override {
    std::lock_guard lock(mu_);
    ++space_needed_;
    changed_.notify_all();
  }
  void OnSegmentChange() override { ++segment_changes_; }
  void OnEpochBegun(const Epoch& epoch) override {
    epochs_.push_back(epoch);
    last_.clear();
  }
  const std::vector<Epoch>& epochs() const { return epochs_; }
  void WaitForSpaceNeeded() {
    std::unique_lock lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return space_needed_ > 0; }));
  }
  int segment_changes() const { return segment_changes_; }

 private:
  std::map<Queue, uint64_t> last_;
  std::vector<Epoch> epochs_;
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
    void OnEpochBegun(const Epoch& epoch) override { target->OnEpochBegun(epoch); }
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

}  // namespace sluice::journal
