#include "gateway/journal/journal.h"

#include <algorithm>
#include <chrono>

#include "base/fail_point.h"
#include "base/status.h"
#include "gateway/journal/journal_impl.h"

namespace sluice::journal {
namespace {

// What a personal record is sealed with besides its bytes: it opens only under its own key.
std::string Associated(const EpochId& epoch, uint8_t queue, uint64_t number, const EventId& id) {
  std::string out(epoch.View());
  out.push_back(static_cast<char>(queue));
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(number >> (8 * i)));
  out += id.View();
  return out;
}

constexpr uint32_t kSealDomain = 1;
constexpr size_t kSyncTimes = 1024;
// How long whoever waits for space is left alone after the disk refused a write.
constexpr int64_t kRefusedWriteUs = 200'000;

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const Options& options, const std::string& gateway,
                                                       const std::string& shop, uint64_t ordinal, FileSystem& files,
                                                       const Clock& clock, Random& random, const Sealer* sealer) {
  if (options.segment_bytes % kBlockBytes != 0 || options.segment_bytes < 4 * kBlockBytes ||
      options.max_record_bytes + kHeaderBytes > options.segment_bytes - kFirstRecordOffset) {
    return absl::InvalidArgumentError("journal: a segment is a multiple of 4096 bytes and holds at least one record");
  }
  if (gateway.size() > kMaxNameBytes || shop.size() > kMaxNameBytes) {
    return absl::InvalidArgumentError("journal: name too long");
  }
  auto journal = std::make_unique<JournalImpl>(options, files, clock, sealer);
  RETURN_IF_ERROR(WithContext(journal->Load(gateway, shop, ordinal, random), "journal"));
  return journal;
}

Epoch JournalImpl::epoch() const {
  Lock lock(mu_);
  return epoch_;
}

void JournalImpl::Start(Tail* tail) {
  Lock lock(mu_);
  tail_ = tail;
  synced_cv_.wait(lock, [&] { return !in_tail_; });
}

absl::StatusOr<uint64_t> JournalImpl::Append(NewRecord record, Completion done) {
  return AppendRecord(std::move(record), std::move(done), Patience::kWait);
}

absl::StatusOr<uint64_t> JournalImpl::TryAppend(NewRecord record, Completion done) {
  return AppendRecord(std::move(record), std::move(done), Patience::kReturn);
}

absl::StatusOr<uint64_t> JournalImpl::AppendRecord(NewRecord record, Completion done, Patience patience) {
  if (record.bytes.size() > options_.max_record_bytes) {
    return absl::InvalidArgumentError(
        StrCat("record of ", record.bytes.size(), " bytes; at most ", options_.max_record_bytes, " are taken"));
  }
  const bool sealed = IsPersonal(record.queue) && sealer_ != nullptr;
  const size_t need = kHeaderBytes + record.bytes.size() + (sealed ? Sealer::kOverhead : 0);
  Lock lock(mu_);
  for (;;) {
    if (stop_) return absl::UnavailableError("the journal is closed");
    if (rotating_) {
      if (patience == Patience::kReturn) return absl::ResourceExhaustedError("the journal is changing segments");
      room_cv_.wait(lock);
      continue;
    }
    if (!HasSpace()) {
      return absl::ResourceExhaustedError("no journal segment can be recycled yet");
    }
    if (sealed && !sealer_->may_seal()) {
      tell_space_at_us_ = clock_.MonotonicUs() + kRefusedWriteUs;
      return absl::ResourceExhaustedError("the key that seals personal records could not be kept yet");
    }
    if (current_->end + need <= current_->size) break;
    rotating_ = rotate_wanted_ = true;
    WakeSyncerBy(INT64_MIN);
  }

  Stream& stream = streams_[QueueIndex(record.queue)];
  RecordHeader header;
  header.segment = current_->head.segment;
  header.epoch = epoch_.id;
  header.queue = static_cast<uint8_t>(record.queue);
  header.number = stream.next;
  header.id = record.id;
  header.accepted_ms = record.accepted_ms;
  header.skipped = skipped_;
  const size_t begin = tail_bytes_.size();
  if (sealed) {
    header.flags |= kSealed;
    EncodeRecord(header,
                 sealer_->Seal(epoch_.id, kSealDomain, seal_counter_++,
                               Associated(epoch_.id, header.queue, header.number, header.id), record.bytes),
                 &tail_bytes_);
  } else {
    EncodeRecord(header, record.bytes, &tail_bytes_);
  }
  const std::string_view frame = std::string_view(tail_bytes_).substr(begin);
  absl::StatusOr<size_t> written = current_->file->WriteAt(current_->end, frame);
  if (written.ok() && *written < frame.size()) {
    ++figures_.short_writes;
    written = current_->file->WriteAt(current_->end, frame);
  }
  // What a short write has left out may have stood there before, as a zero does in a new segment: then the record is whole,
  // and would be read as that of its number.
  const auto whole = [&] {
    const absl::StatusOr<std::string> there = current_->file->ReadAt(current_->end, frame.size());
    return there.ok() && *there == frame;
  };
  if ((!written.ok() || *written < frame.size()) && !whole()) {
    // Nothing is taken; the next record is written over these bytes, or elsewhere if a sync comes between.
    torn_ = true;
    tail_bytes_.resize(begin);
    tell_space_at_us_ = clock_.MonotonicUs() + kRefusedWriteUs;
    return written.ok() ? absl::ResourceExhaustedError("journal: short write")
                        : WithContext(written.status(), "journal");
  }
  FAIL_POINT("journal.written");
  const int64_t now = clock_.MonotonicUs();
  if (begin == 0) unsynced_since_us_ = now;
  torn_ = false;
  skipped_ = 0;
  current_->index.Add(record.queue, header.number, current_->end);
  current_->end += frame.size();
  stream.next = header.number + 1;
  ++figures_.appended;
  figures_.appended_bytes += frame.size();

  int64_t due = unsynced_since_us_ + options_.sync_at_least_every_ms * 1000;
  if (tail_bytes_.size() >= sync_at_bytes_) due = INT64_MIN;
  if (done) {
    due = std::min(due, now + policy_.WaitUs(record.queue));
    stream.waiters.push_back({header.number, now, std::move(done)});
  }
  if (tail_ != nullptr) {
    Item item;
    item.epoch = epoch_.id;
    item.queue = record.queue;
    item.first = item.last = header.number;
    item.id = record.id;
    item.accepted_ms = record.accepted_ms;
    item.bytes = std::move(record.bytes);
    tail_->OnAppended(std::move(item));
  }
  WakeSyncerBy(due);
  return header.number;
}

void JournalImpl::WhenSafe(const EpochId& epoch, Queue queue, uint64_t number, Completion done) {
  {
    Lock lock(mu_);
    Stream& stream = streams_[QueueIndex(queue)];
    if (epoch == epoch_.id && number > stream.safe_to()) {
      if (stop_) {
        lock.unlock();
        done(absl::UnavailableError("the journal is closed"));
        return;
      }
      const int64_t now = clock_.MonotonicUs();
      auto at = std::upper_bound(stream.waiters.begin(), stream.waiters.end(), number,
                                 [](uint64_t value, const Waiter& waiter) { return value < waiter.number; });
      stream.waiters.insert(at, Waiter{number, now, std::move(done)});
      WakeSyncerBy(now + policy_.WaitUs(queue));
      return;
    }
  }
  done(absl::OkStatus());
}

bool JournalImpl::WaitForSpace(int64_t timeout_ms) {
  Lock lock(mu_);
  return space_cv_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                            [&] { return stop_ || (HasSpace() && (!sealer_ || sealer_->may_seal())); });
}

void JournalImpl::WhenSpace(absl::AnyInvocable<void()> ready) {
  {
    Lock lock(mu_);
    if (!stop_) {
      space_waiters_.push_back(std::move(ready));
      WakeSyncerBy(INT64_MIN);
      return;
    }
  }
  ready();
}

void JournalImpl::TakeSafe(Stream& stream, Completions* out) {
  const uint64_t safe = stream.safe_to();
  while (!stream.waiters.empty() && stream.waiters.front().number <= safe) {
    out->push_back(std::move(stream.waiters.front().done));
    stream.waiters.pop_front();
  }
}

void JournalImpl::Acknowledged(const EpochId& epoch, Queue queue, uint64_t number, int64_t ack_time_us) {
  Completions safe;
  {
    Lock lock(mu_);
    Progress& progress = progress_[epoch][QueueIndex(queue)];
    if (number > progress.acked_to && !acks_to_note_) {
      acks_to_note_ = true;
      WakeSyncerBy(acks_noted_us_ + kNoteAcksUs);
    }
    progress.acked_to = std::max(progress.acked_to, number);
    if (epoch == epoch_.id) {
      Stream& stream = streams_[QueueIndex(queue)];
      stream.acked_to = std::max(stream.acked_to, std::min(number, stream.next - 1));
      policy_.OnAck(queue, ack_time_us);
      TakeSafe(stream, &safe);
    }
  }
  for (Completion& done : safe) done(absl::OkStatus());
}

void JournalImpl::LinkUp(Queue queue, bool up) {
  Lock lock(mu_);
  policy_.LinkUp(queue, up);
  WakeSyncerBy(INT64_MIN);  // what is due may be due sooner now
}

void JournalImpl::Release(const EpochId& epoch, Queue queue, uint64_t number) {
  Lock lock(mu_);
  Progress& progress = progress_[epoch][QueueIndex(queue)];
  progress.released_to = std::max(progress.released_to, number);
  if (full_) WakeSyncerBy(INT64_MIN);
}

void JournalImpl::Remember(const Epoch& epoch, Queue queue, uint64_t last, uint64_t acked_to) {
  Lock lock(mu_);
  if (epoch.gateway != epoch_.gateway || epoch.id == epoch_.id) return;
  epochs_.try_emplace(epoch.id, epoch);
  Progress& progress = progress_[epoch.id][QueueIndex(queue)];
  progress.next = std::max(progress.next, last + 1);
  progress.end = std::max(progress.end, last);
  progress.acked_to = std::max(progress.acked_to, acked_to);
  acks_to_note_ = true;
  WakeSyncerBy(acks_noted_us_ + kNoteAcksUs);
}

absl::Status JournalImpl::Sync() {
  Lock lock(mu_);
  if (stop_) return absl::UnavailableError("the journal is closed");
  const uint64_t ticket = ++sync_asked_;
  WakeSyncerBy(INT64_MIN);
  synced_cv_.wait(lock, [&] { return sync_served_ >= ticket || stop_; });
  return sync_status_;
}

void JournalImpl::WakeSyncerBy(int64_t due_us) {
  if (due_us >= syncer_wakes_us_) return;
  syncer_wakes_us_ = INT64_MIN;  // woken once is enough
  syncer_cv_.notify_one();
}

Item JournalImpl::MakeItem(const RecordHeader& header, std::string_view bytes, absl::Status* status) const {
  Item item;
  item.epoch = header.epoch;
  item.queue = static_cast<Queue>(header.queue);
  item.first = item.last = header.number;
  item.id = header.id;
  item.accepted_ms = header.accepted_ms;
  if ((header.flags & kSealed) == 0) {
    item.bytes = bytes;
  } else if (sealer_ == nullptr) {
    *status = absl::FailedPreconditionError("journal: sealed records and no key");
  } else {
    auto opened = sealer_->Open(header.epoch, Associated(header.epoch, header.queue, header.number, header.id), bytes);
    if (opened.ok()) {
      item.bytes = *std::move(opened);
    } else {
      *status = opened.status();
    }
  }
  return item;
}

absl::Status JournalImpl::Read(const EpochId& epoch, Queue queue, uint64_t from, uint64_t last,
                               const std::function<bool(Item)>& visitor) const {
  struct Part {
    std::shared_ptr<File> file;
    uint64_t segment, from, to;
  };
  std::vector<Part> parts;
  {
    Lock lock(mu_);
    for (const auto& segment : segments_) {
      const auto& range = segment->index.range(queue);
      if (segment->head.segment == 0 || segment->head.epoch.id != epoch || range.last < from || range.first > last ||
          range.first == 0) {
        continue;
      }
      parts.push_back({segment->file, segment->head.segment, segment->index.SeekOffset(queue, from), segment->end});
    }
  }
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.segment < b.segment; });
  absl::Status status;
  bool more = true;
  uint64_t next = from;
  for (const Part& part : parts) {
    if (!more || next > last) break;
    const ScanEnd end = ScanSegment(*part.file, part.segment, epoch, part.from, part.to,
                                    [&](const RecordHeader& header, std::string_view bytes, uint64_t) {
                                      // What was written twice after a failed sync comes a second time with numbers
                                      // below `next`.
                                      if (header.type != RecordType::kRecord ||
                                          header.queue != static_cast<uint8_t>(queue) || header.number < next) {
                                        return true;
                                      }
                                      if (header.number > last) return false;
                                      absl::Status opened;
                                      Item item = MakeItem(header, bytes, &opened);
                                      status.Update(opened);
                                      if (!opened.ok()) return true;
                                      next = header.number + 1;
                                      more = visitor(std::move(item));
                                      return more && next <= last;
                                    });
    status.Update(end.status);
  }
  // What was read is good whatever happened around it; the caller sees the holes.
  return absl::IsDataLoss(status) ? absl::OkStatus() : status;
}

absl::Status JournalImpl::ReadAll(const std::function<bool(Item)>& visitor) const {
  std::vector<std::shared_ptr<Segment>> segments;
  std::vector<std::pair<SegmentHead, uint64_t>> heads;
  {
    Lock lock(mu_);
    segments = segments_;
    // What could not be synced at start is read by number alone: whoever asks for all takes it for safe.
    std::erase_if(segments, [](const auto& segment) { return segment->head.segment == 0 || segment->unsure; });
    std::sort(segments.begin(), segments.end(),
              [](const auto& a, const auto& b) { return a->head.segment < b->head.segment; });
    for (const auto& segment : segments) heads.emplace_back(segment->head, segment->end);
  }
  absl::Status status;
  bool more = true;
  for (size_t i = 0; i < segments.size() && more; ++i) {
    const SegmentHead& head = heads[i].first;
    const ScanEnd end = ScanSegment(*segments[i]->file, head.segment, head.epoch.id, kFirstRecordOffset,
                                    heads[i].second, [&](const RecordHeader& header, std::string_view bytes, uint64_t) {
                                      if (header.type != RecordType::kRecord || !QueueFromNumber(header.queue))
                                        return true;
                                      absl::Status opened;
                                      Item item = MakeItem(header, bytes, &opened);
                                      status.Update(opened);
                                      if (opened.ok()) more = visitor(std::move(item));
                                      return more;
                                    });
    status.Update(end.status);
  }
  return absl::IsDataLoss(status) ? absl::OkStatus() : status;
}

Journal::Span JournalImpl::Holds(const EpochId& epoch, Queue queue) const {
  Lock lock(mu_);
  Span span;
  for (const auto& segment : segments_) {
    if (segment->head.segment == 0 || segment->head.epoch.id != epoch) continue;
    const auto& range = segment->index.range(queue);
    if (range.first == 0) continue;
    span.first = span.first == 0 ? range.first : std::min(span.first, range.first);
    span.last = std::max(span.last, range.last);
  }
  // Heads and positions may know of numbers whose records are gone: the caller must learn that they existed.
  const auto known = progress_.find(epoch);
  if (known != progress_.end()) {
    const Progress& progress = known->second[QueueIndex(queue)];
    span.acked_to = progress.acked_to;
    const uint64_t end = std::max(progress.next - 1, progress.end);
    if (span.first != 0 || end > progress.released_to) span.last = std::max(span.last, end);
  }
  return span;
}

uint64_t JournalImpl::LastNumber(Queue queue) const {
  Lock lock(mu_);
  return streams_[QueueIndex(queue)].next - 1;
}

int64_t JournalImpl::SyncedAtMs(Queue queue, uint64_t number) const {
  Lock lock(mu_);
  const size_t at = QueueIndex(queue);
  const auto first = std::partition_point(sync_times_.begin(), sync_times_.end(),
                                          [&](const SyncTime& time) { return time.through[at] < number; });
  if (first == sync_times_.end()) return 0;
  // The oldest remembered one may cover what an earlier one had covered already.
  if (first == sync_times_.begin() && sync_times_.size() == kSyncTimes) return 0;
  return first->wall_ms;
}

Figures JournalImpl::figures() const {
  Lock lock(mu_);
  Figures out = figures_;
  out.segments = segments_.size();
  out.foreign_segments = ForeignSegments();
  for (const Stream& stream : streams_) out.waiting += stream.waiters.size();
  return out;
}

}  // namespace sluice::journal
