// The outbox over a real journal: memory, database and segments must answer as one list (delivery rules R6, R7).
#pragma once

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
#include "gateway/outbox/outbox.h"
#include "tests/fakes/temp_folder.h"

namespace sluice::outbox {

inline EventId IdOf(uint64_t n) {
  EventId id;
  for (int i = 0; i < 8; ++i) id.bytes[i] = static_cast<uint8_t>(n >> (8 * i));
  id.bytes[15] = 1;
  return id;
}

inline std::string BodyOf(Queue queue, uint64_t n) { return StrCat(QueueName(queue), " event number ", n); }

// One gateway with its state folder.
class OutboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.folder = folder_.path();
    options_.spill_after_ms = 3'600'000;  // tests say when
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

// Overwrites part of a file with what looks like nothing.
inline void Garble(const std::string& path, size_t at, size_t size) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file << std::string(size, '\x5A');
}

// What is pending of the epoch as ranges of numbers, gaps with their reason: "1-9 10-12:corrupt 13-20".
inline std::string Shape(const std::vector<Item>& items) {
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

}  // namespace sluice::outbox
