// The syncer thread: serves all waiters with one sync, changes segments, and moves what a failed sync put in doubt.
#include <algorithm>
#include <chrono>

#include "base/fail_point.h"
#include "base/status.h"
#include "gateway/journal/journal_impl.h"

namespace sluice::journal {
namespace {

constexpr size_t kSyncTimes = 1024;
constexpr int64_t kRetryUs = 1'000'000;
constexpr int kMostDoublings = 5;  // where a new segment does not fit: else what does fit were written again every second

}  // namespace

void JournalImpl::RunSyncer() {
  Lock lock(mu_);
  if (full_) CallTail(lock, false);
  while (!stop_) {
    const int64_t now = clock_.MonotonicUs();
    if (rotate_wanted_) {
      Rotate(lock);
      continue;
    }
    if (full_ && ((HasFree() && !stuck_) || now >= retry_at_us_)) {
      Rotate(lock);
      continue;
    }
    if (new_epoch_ != nullptr && !new_epoch_->answer) {
      ChangeEpoch(lock);
      continue;
    }
    int64_t due = DueUs(now);
    if (due <= now) {
      NoteMisses(now);
      if (torn_) {
        Rotate(lock);  // nothing may follow the torn bytes behind a sync
      } else {
        SyncCurrent(lock);
      }
      continue;
    }
    const bool asked = sync_asked_ > sync_served_;
    if (acks_to_note_ && (asked || now - acks_noted_us_ >= kNoteAcksUs)) {
      NoteAcknowledgements(lock, asked);
      continue;
    }
    if (asked) {
      sync_served_ = sync_asked_;
      sync_status_ = orphans_.empty() ? absl::OkStatus() : absl::UnavailableError("journal: the last sync failed");
      synced_cv_.notify_all();
      continue;
    }
    if (!space_waiters_.empty() && HasSpace()) {
      if (now >= tell_space_at_us_) {
        TellOfSpace(lock);
        continue;
      }
      due = std::min(due, tell_space_at_us_);
    }
    syncer_wakes_us_ = full_ ? std::min(due, retry_at_us_) : due;
    if (acks_to_note_) syncer_wakes_us_ = std::min(syncer_wakes_us_, acks_noted_us_ + kNoteAcksUs);
    if (syncer_wakes_us_ == INT64_MAX) {
      syncer_cv_.wait(lock);
    } else {
      syncer_cv_.wait_for(lock, std::chrono::microseconds(std::max<int64_t>(syncer_wakes_us_ - now, 1)));
    }
    syncer_wakes_us_ = INT64_MIN;
  }
  if (new_epoch_ != nullptr && !new_epoch_->answer) {
    new_epoch_->answer = absl::UnavailableError("the journal is closed");
    synced_cv_.notify_all();
  }
  CloseCleanly(lock);
}

int64_t JournalImpl::DueUs(int64_t now) const {
  if (tail_bytes_.empty() || current_ == nullptr) return INT64_MAX;
  if (sync_asked_ > sync_served_ || tail_bytes_.size() >= sync_at_bytes_) return now;
  int64_t due = unsynced_since_us_ + options_.sync_at_least_every_ms * 1000;
  for (Queue queue : kAllQueues) {
    const Stream& stream = streams_[QueueIndex(queue)];
    if (!stream.waiters.empty()) due = std::min(due, stream.waiters.front().since_us + policy_.WaitUs(queue));
  }
  return due;
}

void JournalImpl::NoteMisses(int64_t now) {
  for (Queue queue : kAllQueues) {
    const Stream& stream = streams_[QueueIndex(queue)];
    if (!stream.waiters.empty() && stream.waiters.front().since_us + policy_.WaitUs(queue) <= now)
      policy_.OnMiss(queue);
  }
}

void JournalImpl::Complete(Lock& lock) {
  Completions safe;
  for (Stream& stream : streams_) TakeSafe(stream, &safe);
  if (safe.empty()) return;
  lock.unlock();
  for (Completion& done : safe) done(absl::OkStatus());
  lock.lock();
}

void JournalImpl::TellOfSpace(Lock& lock) {
  std::vector<absl::AnyInvocable<void()>> waiters;
  waiters.swap(space_waiters_);
  lock.unlock();
  for (auto& ready : waiters) ready();
  lock.lock();
}

void JournalImpl::NewBlock(Segment& segment) {
  skipped_ = static_cast<uint16_t>(AlignUp(segment.end) - segment.end);
  segment.end += skipped_;
}

// Once the head is synced the old one in the other block is of no more use; a second copy there lets the segment
// survive the loss of a block. The next sync covers it, and nobody waits for that.
void JournalImpl::CopyHead(Segment& segment) const {
  if (segment.head_twice) return;
  segment.head_twice = true;
  const uint64_t other = segment.head_block == 0 ? kBlockBytes : 0;
  segment.file->WriteAt(other, EncodeSegmentHead(segment.head)).status().IgnoreError();
}

bool JournalImpl::SyncCurrent(Lock& lock) {
  const std::shared_ptr<Segment> segment = current_;
  syncing_.swap(tail_bytes_);
  tail_bytes_.clear();
  Numbers written;
  for (size_t i = 0; i < kQueueCount; ++i) written[i] = streams_[i].next - 1;
  // What is appended from now on must not share a block with what this sync makes safe.
  NewBlock(*segment);
  Positions positions = MakePositions(segment->head.segment, written);
  acks_to_note_ = false;
  lock.unlock();
  FAIL_POINT("journal.before_sync");
  const int64_t began = clock_.MonotonicUs();
  const absl::Status status = segment->file->Sync();
  const int64_t took = clock_.MonotonicUs() - began;
  FAIL_POINT("journal.synced");
  if (status.ok()) {
    CopyHead(*segment);
    WritePositions(std::move(positions), Flush::kAsDue);
  }
  lock.lock();
  figures_.last_sync_us = took;
  if (status.ok()) {
    ++figures_.syncs;
    synced_segment_ = segment->head.segment;
    acks_noted_us_ = clock_.MonotonicUs();
    syncing_.clear();
    for (size_t i = 0; i < kQueueCount; ++i) streams_[i].synced_to = std::max(streams_[i].synced_to, written[i]);
    sync_times_.push_back({clock_.WallMs(), written});
    if (sync_times_.size() > kSyncTimes) sync_times_.pop_front();
    Complete(lock);
    return true;
  }
  ++figures_.sync_failures;
  segment->failed = true;
  orphans_.append(syncing_);
  orphans_.append(tail_bytes_);  // came during the sync, into the same handle
  syncing_.clear();
  tail_bytes_.clear();
  current_ = nullptr;
  rotating_ = true;
  MoveOrphans(lock);
  return false;
}

// Whether there is a segment to write to. `stuck_`: one would be free, but the disk does not take its head.
void JournalImpl::NoteBegun(bool ok) {
  full_ = !ok;
  stuck_ = !ok && HasFree();
  if (ok || stuck_) {
    begin_failures_ = 0;
  } else {
    begin_failures_ = std::min(begin_failures_ + 1, kMostDoublings + 1);
  }
  if (!ok) retry_at_us_ = clock_.MonotonicUs() + (kRetryUs << std::max(begin_failures_ - 1, 0));
}

void JournalImpl::Rotate(Lock& lock) {
  rotating_ = true;
  if (current_ != nullptr && !tail_bytes_.empty() && !SyncCurrent(lock)) return;
  if (!orphans_.empty()) {
    MoveOrphans(lock);
    return;
  }
  const absl::Status begun = BeginSegment(lock, epoch_);
  NoteBegun(begun.ok());
  rotating_ = rotate_wanted_ = false;
  room_cv_.notify_all();
  if (!full_) space_cv_.notify_all();
  CallTail(lock, begun.ok());
}

// Enters with rotating_ set and leaves without it.
void JournalImpl::MoveOrphans(Lock& lock) {
  absl::Status status;
  for (size_t tries = 0; tries <= options_.max_segments; ++tries) {
    status = BeginSegment(lock, epoch_);
    if (!status.ok()) break;
    status = WriteOrphans(lock);
    if (status.ok()) break;
    ++figures_.sync_failures;
    current_->failed = true;
    current_ = nullptr;
  }
  NoteBegun(status.ok());
  if (!full_) {
    orphans_.clear();
    for (Stream& stream : streams_) stream.synced_to = stream.next - 1;
  }
  // Who waits for another segment looks again, and asks again where this one is too small. A wish that outlived its
  // appender's wait would change segments while others append.
  rotating_ = rotate_wanted_ = false;
  room_cv_.notify_all();
  if (!full_) space_cv_.notify_all();
  Complete(lock);
  CallTail(lock, status.ok());
}

absl::Status JournalImpl::WriteOrphans(Lock& lock) {
  std::string again;
  for (size_t at = 0; at < orphans_.size();) {
    RecordHeader header = DecodeHeader(std::string_view(orphans_).substr(at));
    const std::string_view bytes = std::string_view(orphans_).substr(at + kHeaderBytes, header.length);
    at += kHeaderBytes + header.length;
    const auto queue = static_cast<Queue>(header.queue);
    const Progress& progress = (*mine_)[QueueIndex(queue)];
    if (header.number <= std::max(progress.acked_to, progress.released_to)) continue;
    header.segment = current_->head.segment;
    header.skipped = 0;
    current_->index.Add(queue, header.number, current_->end + again.size());
    EncodeRecord(header, bytes, &again);
  }
  const std::shared_ptr<Segment> segment = current_;
  Numbers taken;
  for (size_t i = 0; i < kQueueCount; ++i) taken[i] = streams_[i].next - 1;
  Positions positions = MakePositions(segment->head.segment, taken);
  lock.unlock();
  absl::StatusOr<size_t> written = segment->file->WriteAt(kFirstRecordOffset, again);
  absl::Status status = written.status();
  if (status.ok() && *written < again.size()) status = absl::ResourceExhaustedError("journal: short write");
  if (status.ok()) status = segment->file->Sync();
  if (status.ok()) {
    CopyHead(*segment);
    WritePositions(std::move(positions), Flush::kAsDue);
  }
  lock.lock();
  if (status.ok()) {
    ++figures_.syncs;
    synced_segment_ = segment->head.segment;
    segment->end += again.size();
    NewBlock(*segment);
  }
  return status;
}

bool JournalImpl::Releasable(const Segment& segment) const {
  const auto progress = progress_.find(segment.head.epoch.id);
  for (Queue queue : kAllQueues) {
    const uint64_t last = segment.index.range(queue).last;
    if (last == 0) continue;
    if (progress == progress_.end() || progress->second[QueueIndex(queue)].released_to < last) return false;
  }
  return true;
}

std::shared_ptr<Segment> JournalImpl::PickFree() const {
  std::shared_ptr<Segment> best;
  for (const auto& segment : segments_) {
    if (segment == current_ || !Releasable(*segment)) continue;
    // Never used ones have number 0; what failed once comes last.
    if (best == nullptr ||
        std::pair(segment->failed, segment->head.segment) < std::pair(best->failed, best->head.segment)) {
      best = segment;
    }
  }
  return best;
}

bool JournalImpl::HasFree() const { return PickFree() != nullptr; }

bool JournalImpl::IsForeign(const Segment& segment) const {
  return segment.head.segment != 0 && segment.head.epoch.gateway != epoch_.gateway;
}

// Kept for whom they belong to (R14), and not counted: they must not take the room of ours.
size_t JournalImpl::ForeignSegments() const {
  return static_cast<size_t>(std::count_if(segments_.begin(), segments_.end(), [&](const auto& segment) {
    return IsForeign(*segment) && !Releasable(*segment);
  }));
}

absl::Status JournalImpl::BeginSegment(Lock& lock, const Epoch& epoch, Prefer prefer) {
  // Forget epochs of which no segment is left and nothing is to come, and what belongs to nobody we know.
  std::erase_if(progress_, [&](const auto& entry) {
    const bool open = epochs_.contains(entry.first) &&
                      std::any_of(entry.second.begin(), entry.second.end(), [](const Progress& each) {
                        return std::max(each.next - 1, each.end) > each.acked_to;
                      });
    return entry.first != epoch_.id && !open &&
           std::none_of(segments_.begin(), segments_.end(),
                        [&](const auto& segment) { return segment->head.epoch.id == entry.first; });
  });
  std::erase_if(epochs_, [&](const auto& entry) { return !progress_.contains(entry.first); });
  std::shared_ptr<Segment> chosen = PickFree();
  const bool may_make = segments_.size() - ForeignSegments() < options_.max_segments;
  if (chosen == nullptr && !may_make) return absl::ResourceExhaustedError("no journal segment can be recycled yet");
  const bool keeps = prefer == Prefer::kAnother && may_make && chosen != nullptr && chosen->head.segment != 0;
  Numbers taken;
  for (size_t i = 0; i < kQueueCount; ++i) taken[i] = streams_[i].next - 1;
  const SegmentHead head = MakeHead(epoch, next_segment_, taken);
  lock.unlock();
  absl::Status status;
  bool made = false;
  if (chosen == nullptr || keeps) {
    absl::StatusOr<std::shared_ptr<Segment>> created = CreateSegment();
    if (chosen == nullptr) status = created.status();   // else a full disk takes the one that can be recycled
    if (created.ok()) chosen = *std::move(created);
    made = created.ok();
  }
  if (chosen != nullptr && chosen->failed) {
    // A new handle, as another object: a reader may hold the old one.
    auto again = std::make_shared<Segment>();
    again->path = chosen->path;
    again->slot = chosen->slot;
    again->size = chosen->size;
    again->head_block = chosen->head_block;
    absl::StatusOr<std::unique_ptr<File>> file = files_.Open(chosen->path, FileSystem::Mode::kReadWrite);
    status = file.status();
    if (file.ok()) {
      again->file = *std::move(file);
      lock.lock();
      std::replace(segments_.begin(), segments_.end(), chosen, again);
      lock.unlock();
      chosen = again;
    }
  }
  if (status.ok()) {
    const std::string block = EncodeSegmentHead(head);
    const uint64_t at = chosen->head_block == 0 ? kBlockBytes : 0;
    absl::StatusOr<size_t> written = chosen->file->WriteAt(at, block);
    status = written.status();
    if (status.ok() && *written < block.size()) status = absl::ResourceExhaustedError("journal: short write");
    FAIL_POINT("journal.segment_begun");
  }
  lock.lock();
  if (made) segments_.push_back(chosen);
  if (!status.ok()) return absl::ResourceExhaustedError(StrCat("journal: no new segment: ", MessageOf(status)));
  chosen->head = head;
  chosen->head_block = 1 - chosen->head_block;
  chosen->head_twice = false;
  chosen->index.Clear();
  chosen->end = kFirstRecordOffset;
  chosen->failed = false;
  current_ = chosen;
  ++next_segment_;
  ++figures_.segment_changes;
  skipped_ = 0;
  torn_ = false;
  return absl::OkStatus();
}

void JournalImpl::CallTail(Lock& lock, bool segment_change) {
  Tail* const tail = tail_;
  if (tail == nullptr) return;
  const bool need_space = full_ || !HasFree();
  uint64_t oldest = UINT64_MAX;
  for (const auto& segment : segments_) {
    if (segment->head.segment != 0) oldest = std::min(oldest, segment->head.segment);
  }
  in_tail_ = true;
  lock.unlock();
  if (segment_change) tail->OnSegmentChange();
  if (need_space) tail->OnSpaceNeeded(oldest);
  lock.lock();
  in_tail_ = false;
  synced_cv_.notify_all();
}

void JournalImpl::CloseCleanly(Lock& lock) {
  if (current_ == nullptr || torn_) return;
  if (!tail_bytes_.empty()) SyncCurrent(lock);
  if (current_ == nullptr || !orphans_.empty()) return;
  std::string record;
  RecordHeader header;
  header.segment = current_->head.segment;
  header.epoch = epoch_.id;
  header.type = RecordType::kClose;
  header.skipped = skipped_;
  EncodeRecord(header, "", &record);
  if (current_->end + record.size() > current_->size) return;
  const absl::StatusOr<size_t> written = current_->file->WriteAt(current_->end, record);
  if (!written.ok() || *written < record.size() || !current_->file->Sync().ok()) return;
  ++figures_.syncs;
  Numbers taken;
  for (size_t i = 0; i < kQueueCount; ++i) taken[i] = streams_[i].next - 1;
  Positions positions = MakePositions(current_->head.segment, taken);
  positions.closed = true;
  lock.unlock();
  WritePositions(std::move(positions), Flush::kYes);
  lock.lock();
}

JournalImpl::~JournalImpl() {
  {
    Lock lock(mu_);
    stop_ = true;
    syncer_cv_.notify_all();
    room_cv_.notify_all();
    space_cv_.notify_all();
    synced_cv_.notify_all();
  }
  if (syncer_.joinable()) syncer_.join();
  for (auto& ready : space_waiters_) ready();
  for (Stream& stream : streams_) {
    for (Waiter& waiter : stream.waiters) {
      waiter.done(waiter.number <= stream.safe_to() ? absl::OkStatus()
                                                    : absl::UnavailableError("the journal is closed"));
    }
  }
}

}  // namespace sluice::journal
