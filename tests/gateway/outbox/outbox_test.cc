// The outbox over a real journal: memory, database and segments must answer as one list (delivery rules R6, R7).
#include "gateway/outbox/outbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/random.h"
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

}  // namespace
}  // namespace sluice::outbox
