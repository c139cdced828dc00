// Another epoch while the journal runs: all of the old one is made safe, then a segment of the new one is begun.
#include <algorithm>
#include <utility>

#include "base/fail_point.h"
#include "base/status.h"
#include "gateway/journal/journal_impl.h"

namespace sluice::journal {

absl::Status JournalImpl::BeginEpoch(const std::string& shop) {
  if (shop.size() > kMaxNameBytes) return absl::InvalidArgumentError("journal: name too long");
  NewEpoch wanted;
  random_->Fill(wanted.epoch.id.bytes);
  wanted.epoch.shop = shop;
  Lock lock(mu_);
  // One at a time.
  synced_cv_.wait(lock, [&] { return new_epoch_ == nullptr || stop_; });
  if (stop_) return absl::UnavailableError("the journal is closed");
  new_epoch_ = &wanted;
  WakeSyncerBy(INT64_MIN);
  synced_cv_.wait(lock, [&] { return wanted.answer.has_value(); });
  new_epoch_ = nullptr;
  synced_cv_.notify_all();
  return *std::move(wanted.answer);
}

void JournalImpl::ChangeEpoch(Lock& lock) {
  rotating_ = true;  // nothing is appended from here on
  Completions unmet;
  absl::Status status;
  if (current_ != nullptr && !tail_bytes_.empty()) {
    // Failed: what it covered went to another segment, and appenders in again. Once more from the beginning.
    if (!SyncCurrent(lock) || !rotating_) return;
  }
  if (full_ || !orphans_.empty()) {
    status = absl::ResourceExhaustedError("no journal segment can be recycled yet");
  } else {
    new_epoch_->epoch.ordinal = epoch_.ordinal + 1;
    new_epoch_->epoch.gateway = epoch_.gateway;
    status = BeginSegment(lock, new_epoch_->epoch);
  }
  if (status.ok()) TakeEpoch(new_epoch_->epoch, &unmet);
  FAIL_POINT("journal.epoch_begun");
  new_epoch_->answer = status;
  rotating_ = false;
  room_cv_.notify_all();
  synced_cv_.notify_all();
  if (!unmet.empty()) {
    lock.unlock();
    for (Completion& done : unmet) done(absl::UnavailableError("this number was never taken in its epoch"));
    lock.lock();
  }
  CallTail(lock, status.ok());
}

void JournalImpl::TakeEpoch(const Epoch& epoch, Completions* unmet) {
  for (Queue queue : kAllQueues) {
    Stream& stream = streams_[QueueIndex(queue)];
    Progress& progress = (*mine_)[QueueIndex(queue)];
    progress.next = stream.next;
    progress.acked_to = std::max(progress.acked_to, stream.acked_to);
    // Everything that was taken is safe, and was told so: these wait for numbers that will not come.
    for (Waiter& waiter : stream.waiters) unmet->push_back(std::move(waiter.done));
    stream = Stream();
  }
  epoch_ = epoch;
  epochs_[epoch_.id] = epoch_;
  mine_ = &progress_[epoch_.id];
  // Of the new one nothing is noted before its segment was synced.
  synced_segment_ = 0;
  safe_limit_ = flushed_ = {};
  flushed_at_us_ = INT64_MIN;
  seal_counter_ = 0;
  sync_times_.clear();
  if (tail_ != nullptr) tail_->OnEpochBegun(epoch_);
}

}  // namespace sluice::journal
