// The newest entries of a stream, for people who look in: bounded in number and in bytes, read by position.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace sluice::intake {

// Thread-safe. Readers pull: an entry costs a short lock and a copy into a used slot whether anybody reads or not, and a
// reader that is too slow misses entries instead of holding anybody up. `Entry` has `size_t Bytes() const`.
template <typename Entry>
class NewestRing {
 public:
  struct Positioned {
    uint64_t position = 0;   // 1, 2, 3 … since the start of the process
    Entry entry;
  };

  NewestRing(size_t max_entries, size_t max_bytes) : slots_(max_entries), max_bytes_(max_bytes) {}

  // `fill(slot)` writes the new entry over an old one whose memory may be used again.
  template <typename Fill>
  void Add(Fill&& fill) {
    bool wake;
    {
      const std::lock_guard lock(mutex_);
      Entry& slot = SlotOf(end_ + 1);
      if (end_ - begin_ == slots_.size()) Forget();
      fill(slot);
      ++end_;
      bytes_ += slot.Bytes();
      while (bytes_ > max_bytes_ && begin_ + 1 < end_) Forget();
      wake = waiting_ > 0;
    }
    if (wake) added_.notify_all();
  }

  // The position of the newest entry; 0: none yet.
  uint64_t newest() const {
    const std::lock_guard lock(mutex_);
    return end_;
  }

  // At most `max` entries after `position`, oldest first. What was forgotten meanwhile is skipped.
  std::vector<Positioned> ReadAfter(uint64_t position, size_t max) const {
    const std::lock_guard lock(mutex_);
    std::vector<Positioned> out;
    for (uint64_t at = std::max(position, begin_) + 1; at <= end_ && out.size() < max; ++at) {
      out.push_back({at, slots_[at % slots_.size()]});
    }
    return out;
  }

  // Waits until there is something after `position`. False: nothing came in time.
  bool WaitPast(uint64_t position, int64_t timeout_ms) const {
    std::unique_lock lock(mutex_);
    ++waiting_;
    const bool came =
        added_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return end_ > position; });
    --waiting_;
    return came;
  }

 private:
  Entry& SlotOf(uint64_t position) { return slots_[position % slots_.size()]; }
  void Forget() {
    Entry& oldest = SlotOf(++begin_);
    bytes_ -= oldest.Bytes();
    // Small entries keep their memory for the next one.
    if (oldest.Bytes() > 4096) oldest = Entry();
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable added_;
  // Guarded by mutex_. Entries (begin_, end_] are there.
  mutable int waiting_ = 0;
  std::vector<Entry> slots_;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  size_t bytes_ = 0;
  const size_t max_bytes_;
};

}  // namespace sluice::intake
