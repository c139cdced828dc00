// The only place where stored items are let go: acknowledged ones beyond the replay window (delivery rule R12), and
// bulk when the quota is reached, always covered by a committed gap (rule R6). Never by wall-clock age.
#include <algorithm>

#include "base/status.h"
#include "gateway/outbox/outbox_impl.h"

namespace sluice::outbox {
namespace {

// A page's worth of slack for what indexes and the tree take.
constexpr double kPageOverhead = 1.25;
constexpr uint64_t kCriticalSlackBytes = 256u << 10;
constexpr int kPagesGivenBack = 256;
// Epochs of a queue of which nothing is held any more, but their last number (R9, R12): a box that is switched off every
// night keeps those of eight months. Hello takes some 50 bytes for each.
constexpr size_t kFinishedKept = 256;

}  // namespace

absl::Status OutboxImpl::MakeRoom(uint64_t bytes, bool critical) {
  const uint64_t kept_free = critical ? std::min(kCriticalSlackBytes, options_.quota_bytes / 8)
                                      : std::min(options_.reserved_bytes, options_.quota_bytes / 2);
  const uint64_t limit = options_.quota_bytes - kept_free;
  const auto need = static_cast<uint64_t>(static_cast<double>(bytes) * kPageOverhead);
  for (;;) {
    ASSIGN_OR_RETURN(const uint64_t used, store_->UsedBytes());
    if (used + need <= limit) return absl::OkStatus();
    ASSIGN_OR_RETURN(bool dropped, DropAcknowledged());
    if (!dropped) {
      ASSIGN_OR_RETURN(dropped, DropOldestBulk());
    }
    if (!dropped) return absl::ResourceExhaustedError("the outbox has reached its quota");
  }
}

absl::Status OutboxImpl::NoteUse() {
  ASSIGN_OR_RETURN(const uint64_t used, store_->UsedBytes());
  Lock lock(mu_);
  counters_["used_percent"] = static_cast<int64_t>(used * 100 / std::max<uint64_t>(options_.quota_bytes, 1));
  return absl::OkStatus();
}

absl::Status OutboxImpl::TrimReplayWindow() {
  for (int batch = 0; batch < 4; ++batch) {  // a few at a time: storing goes first
    uint64_t acknowledged = 0;
    {
      Lock lock(mu_);
      for (const QueueState& state : queues_) {
        for (const auto& stream : state.streams) {
          for (const StoredRange& range : stream->ranges) {
            if (range.last <= stream->acked_to) acknowledged += range.bytes + range.rows * 60;
          }
        }
      }
    }
    if (acknowledged <= options_.replay_window_bytes) return NoteUse();
    ASSIGN_OR_RETURN(const bool dropped, DropAcknowledged());
    if (!dropped) return NoteUse();
  }
  RETURN_IF_ERROR(NoteUse());
  return store_->GiveBackPages(kPagesGivenBack);
}

absl::StatusOr<bool> OutboxImpl::DropAcknowledged() {
  Stream* oldest = nullptr;
  StoredRange range;
  uint64_t last, stored_to, acked_to;
  {
    Lock lock(mu_);
    uint64_t most = 0;
    for (const QueueState& state : queues_) {
      for (const auto& stream : state.streams) {
        if (stream->ranges.empty() || stream->ranges.front().last > stream->acked_to) continue;
        // The oldest epoch first; within one, the queue that keeps most.
        const uint64_t kept = stream->StoredUpTo(stream->acked_to).bytes;
        if (oldest == nullptr || stream->epoch.ordinal < oldest->epoch.ordinal ||
            (stream->epoch.ordinal == oldest->epoch.ordinal && kept > most)) {
          oldest = stream.get();
          most = kept;
        }
      }
    }
    if (oldest == nullptr) return false;
    range = oldest->ranges.front();
    last = oldest->last;
    stored_to = oldest->stored_to;
    acked_to = oldest->acked_to;
  }
  RETURN_IF_ERROR(store_->Begin());
  absl::Status status = store_->DeleteItems(oldest->id, range.first, range.last);
  if (status.ok()) status = store_->DeleteRange(oldest->id, range.last);
  // That it was acknowledged must not be forgotten when it is gone: it would look like damage.
  if (status.ok()) status = store_->SavePositions(oldest->id, last, stored_to, acked_to);
  if (status.ok()) status = store_->Commit();
  if (!status.ok()) {
    store_->Rollback();
    return status;
  }
  Lock lock(mu_);
  oldest->ranges.pop_front();
  counters_["trimmed_rows"] += static_cast<int64_t>(range.rows);
  return true;
}

absl::StatusOr<bool> OutboxImpl::DropOldestBulk() {
  Stream* victim = nullptr;
  size_t at = 0;
  StoredRange range, before;
  {
    Lock lock(mu_);
    for (Queue queue : kAllQueues) {
      if (!IsBulk(queue)) continue;
      for (const auto& stream : queues_[QueueIndex(queue)].streams) {
        const auto records = std::find_if(stream->ranges.begin(), stream->ranges.end(),
                                          [](const StoredRange& each) { return each.rows > each.gaps; });
        if (records == stream->ranges.end()) continue;
        if (victim != nullptr && victim->epoch.ordinal <= stream->epoch.ordinal) continue;
        victim = stream.get();
        at = static_cast<size_t>(records - stream->ranges.begin());
      }
    }
    if (victim == nullptr) return false;
    range = victim->ranges[at];
    if (at > 0 && victim->ranges[at - 1].last + 1 == range.first) before = victim->ranges[at - 1];
  }
  Item gap;
  gap.epoch = victim->epoch.id;
  gap.queue = victim->queue;
  gap.first = before.first != 0 ? before.first : range.first;  // adjacent gaps are one
  gap.last = range.last;
  gap.gap = GapReason::kQuota;
  const StoredRange merged{gap.first, gap.last, 1, 0, 1, clock_.WallMs()};
  RETURN_IF_ERROR(store_->Begin());
  absl::Status status = store_->DeleteItems(victim->id, gap.first, gap.last);
  if (status.ok() && before.first != 0) status = store_->DeleteRange(victim->id, before.last);
  if (status.ok()) status = store_->PutItem(*victim, gap).status();
  if (status.ok()) status = store_->PutRange(victim->id, merged);
  if (status.ok()) status = store_->Commit();
  if (!status.ok()) {
    store_->Rollback();
    return status;
  }
  Lock lock(mu_);
  victim->ranges[at] = merged;
  if (before.first != 0) victim->ranges.erase(victim->ranges.begin() + static_cast<ptrdiff_t>(at) - 1);
  counters_["dropped_bulk"] += static_cast<int64_t>(range.rows - range.gaps);
  return true;
}

absl::Status OutboxImpl::ForgetEmptyStreams() {
  std::vector<std::pair<Queue, Stream*>> candidates;
  {
    Lock lock(mu_);
    for (Queue queue : kAllQueues) {
      size_t finished = 0;
      const auto& streams = queues_[QueueIndex(queue)].streams;
      for (auto it = streams.rbegin(); it != streams.rend(); ++it) {
        const Stream& stream = **it;
        if (&stream == &Running(queue) || stream.HoldsRecords() || stream.last > stream.acked_to) continue;
        if (stream.last == 0 || ++finished > kFinishedKept) candidates.emplace_back(queue, it->get());
      }
    }
  }
  std::erase_if(candidates,
                [&](const auto& each) { return journal_.Holds(each.second->epoch.id, each.first).first != 0; });
  if (candidates.empty()) return absl::OkStatus();
  // The journal must have noted that they are complete, or it would take their numbers for lost at the next start.
  if (!journal_.Sync().ok()) return absl::OkStatus();
  RETURN_IF_ERROR(store_->Begin());
  absl::Status status;
  for (const auto& [queue, stream] : candidates) {
    if (status.ok()) status = store_->RemoveStream(stream->id);
  }
  if (status.ok()) status = store_->Commit();
  if (!status.ok()) {
    store_->Rollback();
    return status;
  }
  Lock lock(mu_);
  for (const auto& each : candidates) {
    std::erase_if(queues_[QueueIndex(each.first)].streams,
                  [&](const auto& owner) { return owner.get() == each.second; });
  }
  return absl::OkStatus();
}

}  // namespace sluice::outbox
