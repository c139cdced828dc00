// How far the running epoch has come, noted beside the segments: with it a start can name what a damaged segment lost.
#include <algorithm>

#include "gateway/journal/journal_impl.h"

namespace sluice::journal {
namespace {

constexpr int64_t kFlushEveryUs = 1'000'000;
constexpr int64_t kRetryUs = 1'000'000;
// How far ahead of what is safe the limit is set: about two seconds' worth, so that the flush of each second renews it
// before it is reached.
constexpr uint64_t kLeastAhead = 64, kMostAhead = 8192;

}  // namespace

SegmentHead JournalImpl::MakeHead(const Epoch& epoch, uint64_t segment, const Numbers& taken) const {
  SegmentHead head;
  head.segment = segment;
  head.epoch = epoch;
  if (epoch.id != epoch_.id) {
    // Of the one that is about to run.
    head.others.push_back(epoch_);
    for (Queue queue : kAllQueues) head.positions.push_back({epoch.id, queue, 1, 0});
  }
  for (Queue queue : kAllQueues) {
    const size_t at = QueueIndex(queue);
    head.positions.push_back({epoch_.id, queue, taken[at] + 1, streams_[at].acked_to});
  }
  // Of the others first those of which something is still to come, the newest first: not all may fit.
  struct Other {
    bool open;
    const Epoch* epoch;
    const std::array<Progress, kQueueCount>* progress;
  };
  std::vector<Other> others;
  for (const auto& [id, progress] : progress_) {
    const auto known = epochs_.find(id);
    if (id == epoch_.id || known == epochs_.end()) continue;
    const bool open = std::any_of(progress.begin(), progress.end(), [](const Progress& each) {
      return std::max(each.next - 1, each.end) > each.acked_to;
    });
    others.push_back({open, &known->second, &progress});
  }
  std::sort(others.begin(), others.end(), [](const Other& a, const Other& b) {
    return a.open != b.open ? a.open : a.epoch->ordinal > b.epoch->ordinal;
  });
  for (const Other& other : others) {
    head.others.push_back(*other.epoch);
    for (Queue queue : kAllQueues) {
      const Progress& position = (*other.progress)[QueueIndex(queue)];
      const uint64_t end = std::max(position.next - 1, position.end);
      if (end > 0) head.positions.push_back({other.epoch->id, queue, end + 1, position.acked_to});
    }
  }
  return head;
}

Positions JournalImpl::MakePositions(uint64_t segment, const Numbers& taken) const {
  Positions positions;
  positions.head = MakeHead(epoch_, segment, taken);
  positions.boot = options_.boot;
  return positions;
}

// As due: a sync made numbers safe; called before those who wait for it are told, for a limit above them must be on the
// medium first. Where only acknowledgements came nothing is due: the cloud has what they name.
void JournalImpl::WritePositions(Positions positions, Flush when) {
  const int64_t now = clock_.MonotonicUs();
  if (now < positions_retry_us_) return;
  Numbers taken{}, limit = safe_limit_;
  for (const auto& position : positions.head.positions) {
    if (position.epoch == epoch_.id) taken[QueueIndex(position.queue)] = position.next - 1;
  }
  bool flush = flushed_at_us_ == INT64_MIN || now - flushed_at_us_ >= kFlushEveryUs;
  for (size_t i = 0; i < kQueueCount; ++i) flush |= taken[i] > safe_limit_[i];
  flush = when == Flush::kYes || (when == Flush::kAsDue && flush);
  if (flush) {
    for (size_t i = 0; i < kQueueCount; ++i) {
      const uint64_t ahead = std::clamp(2 * (taken[i] - std::min(taken[i], flushed_[i])), kLeastAhead, kMostAhead);
      limit[i] = std::max(limit[i], taken[i] + ahead);
    }
  }
  positions.safe_limit = limit;
  positions.sequence = ++positions_sequence_;
  const std::string block = EncodePositions(positions);
  absl::Status written = positions_file_.Write(block, flush);
  written.Update(positions_copy_.Write(block, positions.closed));
  if (!written.ok()) {
    // Nobody waits for it: without it damage is still survived, only its end is not known.
    positions_retry_us_ = now + kRetryUs;
  } else if (flush) {
    safe_limit_ = limit;
    flushed_ = taken;
    flushed_at_us_ = now;
  }
  const Lock lock(mu_);
  figures_.positions_failing = !written.ok();
  figures_.position_failures += written.ok() ? 0 : 1;
}

void JournalImpl::NoteAcknowledgements(Lock& lock, bool flush) {
  acks_to_note_ = false;
  if (synced_segment_ == 0) return;
  Numbers taken;
  for (size_t i = 0; i < kQueueCount; ++i) taken[i] = streams_[i].safe_to();
  Positions positions = MakePositions(synced_segment_, taken);
  lock.unlock();
  WritePositions(std::move(positions), flush ? Flush::kYes : Flush::kNo);
  lock.lock();
  acks_noted_us_ = clock_.MonotonicUs();
}

}  // namespace sluice::journal
