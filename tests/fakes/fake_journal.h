// A journal in memory whose safety is turned by hand: what is appended becomes safe when the test says so.
#pragma once

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "gateway/journal/journal.h"

namespace sluice::journal {

// Thread-safe. Keeps the contract of journal.h, but for what is turned by hand: tests/contract holds it to that.
class FakeJournal final : public Journal {
 public:
  FakeJournal() { epoch_.id.bytes[0] = 1; }
  ~FakeJournal() override {
    Fail(absl::CancelledError("the journal was closed"));
    TellOfSpace();
  }

  // Everything that waits becomes safe, or what waits in one queue, on the calling thread; returns how many.
  size_t MakeAllSafe() { return Complete(absl::OkStatus(), std::nullopt); }
  size_t MakeSafe(Queue queue) { return Complete(absl::OkStatus(), queue); }
  size_t Fail(const absl::Status& status) { return Complete(status, std::nullopt); }
  // Each Append calls its completion before it returns.
  void SafeAtOnce(bool on) {
    const std::lock_guard lock(mutex_);
    safe_at_once_ = on;
  }
  // Append returns this until it is OK again.
  void Refuse(absl::Status status) {
    const std::lock_guard lock(mutex_);
    refuse_ = std::move(status);
    space_.notify_all();
  }
  // Calls those who wait for space; returns how many.
  size_t TellOfSpace() {
    std::vector<absl::AnyInvocable<void()>> waiters;
    {
      const std::lock_guard lock(mutex_);
      waiters.swap(space_waiters_);
    }
    for (auto& ready : waiters) ready();
    return waiters.size();
  }
  // As if they had been found in the segments.
  void Seed(Item item) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
  }
  void SeedEpoch(Epoch epoch) { found_.epochs.push_back(std::move(epoch)); }
  std::vector<Item> items() const {
    const std::lock_guard lock(mutex_);
    return items_;
  }
  std::vector<Item> items(Queue queue) const {
    std::vector<Item> out;
    for (Item& item : items()) {
      if (item.queue == queue) out.push_back(std::move(item));
    }
    return out;
  }
  size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return waiters_.size();
  }
  // Blocks until `count` calls of WaitForSpace have begun.
  void AwaitSpaceWaits(size_t count) {
    std::unique_lock lock(mutex_);
    asked_.wait(lock, [&] { return space_waits_ >= count; });
  }

  Epoch epoch() const override {
    const std::lock_guard lock(mutex_);
    return epoch_;
  }
  const Found& found() const override { return found_; }
  void Start(Tail* tail) override { tail_ = tail; }

  absl::StatusOr<uint64_t> Append(NewRecord record, Completion done) override {
    uint64_t number;
    bool at_once;
    {
      const std::lock_guard lock(mutex_);
      if (!refuse_.ok()) return refuse_;
      number = ++last_[QueueIndex(record.queue)];
      Item item;
      item.epoch = epoch_.id;
      item.queue = record.queue;
      item.first = item.last = number;
      item.id = record.id;
      item.accepted_ms = record.accepted_ms;
      item.bytes = std::move(record.bytes);
      if (tail_ != nullptr) tail_->OnAppended(item);
      items_.push_back(std::move(item));
      at_once = safe_at_once_;
      if (at_once) {
        safe_to_[QueueIndex(record.queue)] = number;
      } else if (done) {
        waiters_.push_back({record.queue, number, std::move(done)});
      }
    }
    if (at_once && done) done(absl::OkStatus());
    return number;
  }
  absl::StatusOr<uint64_t> TryAppend(NewRecord record, Completion done) override {
    return Append(std::move(record), std::move(done));
  }
  void WhenSafe(const EpochId& epoch, Queue queue, uint64_t number, Completion done) override {
    {
      const std::lock_guard lock(mutex_);
      if (epoch == epoch_.id && number > safe_to_[QueueIndex(queue)]) {
        waiters_.push_back({queue, number, std::move(done)});
        return;
      }
    }
    done(absl::OkStatus());
  }
  absl::Status BeginEpoch(const std::string& shop) override {
    MakeAllSafe();
    const std::lock_guard lock(mutex_);
    ++epoch_.id.bytes[0];
    ++epoch_.ordinal;
    epoch_.shop = shop;
    last_ = {};
    safe_to_ = {};
    if (tail_ != nullptr) tail_->OnEpochBegun(epoch_);
    return absl::OkStatus();
  }
  bool WaitForSpace(int64_t timeout_ms) override {
    std::unique_lock lock(mutex_);
    ++space_waits_;
    asked_.notify_all();
    return space_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return refuse_.ok(); });
  }
  void WhenSpace(absl::AnyInvocable<void()> ready) override {
    const std::lock_guard lock(mutex_);
    space_waiters_.push_back(std::move(ready));
  }
  void Acknowledged(const EpochId& epoch, Queue queue, uint64_t number, int64_t) override {
    if (epoch == this->epoch().id) Complete(absl::OkStatus(), queue, number);
  }
  void LinkUp(Queue, bool) override {}
  void Release(const EpochId&, Queue, uint64_t) override {}
  void Remember(const Epoch&, Queue, uint64_t, uint64_t) override {}
  absl::Status Sync() override {
    MakeAllSafe();
    return absl::OkStatus();
  }
  absl::Status Read(const EpochId& epoch, Queue queue, uint64_t from, uint64_t last,
                    const std::function<bool(Item)>& visitor) const override {
    for (Item& item : items(queue)) {
      if (item.epoch == epoch && item.first >= from && item.first <= last && !visitor(std::move(item))) break;
    }
    return absl::OkStatus();
  }
  absl::Status ReadAll(const std::function<bool(Item)>& visitor) const override {
    for (Item& item : items()) {
      if (!visitor(std::move(item))) break;
    }
    return absl::OkStatus();
  }
  Span Holds(const EpochId& epoch, Queue queue) const override {
    Span span;
    for (const Item& item : items(queue)) {
      if (item.epoch != epoch) continue;
      if (span.first == 0) span.first = item.first;
      span.last = item.last;
    }
    return span;
  }
  uint64_t LastNumber(Queue queue) const override {
    const std::lock_guard lock(mutex_);
    return last_[QueueIndex(queue)];
  }
  int64_t SyncedAtMs(Queue, uint64_t) const override { return 0; }
  Figures figures() const override { return {}; }

 private:
  struct Waiter {
    Queue queue;
    uint64_t number;
    Completion done;
  };

  // Up to `number` of one queue, or of all.
  size_t Complete(const absl::Status& status, std::optional<Queue> queue, uint64_t number = UINT64_MAX) {
    std::deque<Waiter> taken, kept;
    {
      const std::lock_guard lock(mutex_);
      for (Waiter& waiter : waiters_) {
        const bool meant = (!queue || waiter.queue == *queue) && waiter.number <= number;
        (meant ? taken : kept).push_back(std::move(waiter));
      }
      for (const Queue each : kAllQueues) {
        if (!status.ok() || (queue && each != *queue)) continue;
        uint64_t& safe_to = safe_to_[QueueIndex(each)];
        safe_to = std::max(safe_to, std::min(number, last_[QueueIndex(each)]));
      }
      waiters_ = std::move(kept);
    }
    for (Waiter& waiter : taken) waiter.done(status);
    return taken.size();
  }

  Epoch epoch_;
  Found found_;
  Tail* tail_ = nullptr;
  mutable std::mutex mutex_;
  std::condition_variable space_, asked_;
  // Guarded by mutex_.
  absl::Status refuse_;
  bool safe_at_once_ = false;
  size_t space_waits_ = 0;
  std::array<uint64_t, kQueueCount> last_{}, safe_to_{};   // of the running epoch
  std::vector<Item> items_;
  std::deque<Waiter> waiters_;
  std::vector<absl::AnyInvocable<void()>> space_waiters_;
};

}  // namespace sluice::journal
