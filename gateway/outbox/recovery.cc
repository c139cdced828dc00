// What is pending, found again: at start from the saved floors, at Welcome from the cloud's (delivery rule R7).
#include <algorithm>

#include "base/status.h"
#include "gateway/outbox/outbox_impl.h"

namespace sluice::outbox {
namespace {

constexpr size_t kBatchRows = 2000;

}  // namespace

absl::StatusOr<std::unique_ptr<Outbox>> Outbox::Open(const Options& options, journal::Journal& journal,
                                                     const Clock& clock, const Sealer* sealer, Snapshots* snapshots) {
  auto outbox = std::make_unique<OutboxImpl>(options, journal, clock, sealer, snapshots);
  RETURN_IF_ERROR(WithContext(outbox->Load(), "outbox"));
  return outbox;
}

void OutboxImpl::TakeStreams(std::vector<std::unique_ptr<Stream>> streams, const std::string& gateway) {
  for (auto& stream : streams) {
    if (stream->epoch.gateway != gateway) {
      // R14: kept, not sent.
      ++report_.foreign;
      report_.warnings.push_back(
          StrCat("epoch ", stream->epoch.id.ToHex(), " belongs to gateway ", stream->epoch.gateway));
      continue;
    }
    queues_[QueueIndex(stream->queue)].streams.push_back(std::move(stream));
  }
}

// In start order, `running` last.
void OutboxImpl::SortStreams(const EpochId& running) {
  for (QueueState& state : queues_) {
    std::stable_sort(state.streams.begin(), state.streams.end(), [&](const auto& a, const auto& b) {
      return std::pair(a->epoch.id == running, a->epoch.ordinal) < std::pair(b->epoch.id == running, b->epoch.ordinal);
    });
  }
}

absl::Status OutboxImpl::Load() {
  RETURN_IF_ERROR(OpenStore());
  const int64_t now = clock_.MonotonicUs();
  std::vector<Epoch> epochs = journal_.found().epochs;
  const Epoch* newest = nullptr;
  for (const QueueState& state : queues_) {
    for (const auto& stream : state.streams) {
      if (newest == nullptr || stream->epoch.ordinal > newest->ordinal) newest = &stream->epoch;
    }
  }
  // Each run puts its streams into the database before it takes anything.
  report_.outbox_missing = newest == nullptr && store_->is_open() && report_.set_aside.empty() &&
                           std::any_of(epochs.begin(), epochs.end(), [&](const Epoch& epoch) {
                             return epoch.gateway == journal_.epoch().gateway;
                           });
  // A run's newest segment stays until the next run has begun one. Where all segments are in use the last run may never
  // have got one; an emptied one looks unused.
  const bool unused = journal_.found().segments.size() < journal_.figures().segments;
  report_.journal_missing = unused && newest != nullptr && std::none_of(epochs.begin(), epochs.end(), [&](const Epoch& epoch) {
    return epoch.ordinal >= newest->ordinal;
  });
  epochs.push_back(journal_.epoch());
  for (const Epoch& epoch : epochs) {
    const bool running = epoch.id == journal_.epoch().id;
    if (epoch.gateway != journal_.epoch().gateway) {
      ++report_.foreign;
      report_.warnings.push_back(StrCat("journal: epoch ", epoch.id.ToHex(), " belongs to gateway ", epoch.gateway));
      continue;
    }
    for (Queue queue : kAllQueues) {
      if (FindStream(queue, epoch.id) != nullptr) continue;
      if (!running && journal_.Holds(epoch.id, queue).last == 0) continue;
      queues_[QueueIndex(queue)].streams.push_back(std::make_unique<Stream>(epoch, queue));
    }
  }
  SortStreams(journal_.epoch().id);
  for (Queue queue : kAllQueues) {
    const auto& streams = queues_[QueueIndex(queue)].streams;
    for (const auto& stream : streams) {
      const journal::Journal::Span span = journal_.Holds(stream->epoch.id, queue);
      if (span.last > stream->last) {
        stream->last = span.last;
        stream->changed = snapshot_needed_ = true;
      }
      // Positions are saved lazily. What is gone because it was acknowledged stands in the heads of the segments that came
      // after; what is still held stays pending, for the cloud may have been restored since.
      uint64_t held = FirstHeld(*stream);
      if (held == 0 || (span.first != 0 && span.first < held)) held = span.first;
      const uint64_t gone_to = held == 0 ? stream->last : std::min(held - 1, stream->last);
      if (const uint64_t acked_to = std::min(span.acked_to, gone_to); acked_to > stream->acked_to) {
        stream->acked_to = acked_to;
        stream->acked_high = std::max(stream->acked_high, acked_to);
        stream->changed = snapshot_needed_ = true;
      }
      stream->journal_since_us = now;
      report_.pending += stream->last - std::min(stream->last, stream->acked_to);
      for (const StoredRange& range : stream->ranges) report_.gaps += range.last > stream->acked_to ? range.gaps : 0;
    }
  }
  // A full disk is no reason to stay away: the journal has segments, and what the cloud acknowledges makes room.
  if (const absl::Status added = AddMissingStreams(); !added.ok()) {
    report_.warnings.push_back(StrCat("the outbox cannot be written: ", MessageOf(added)));
    WriterFailed(added);
  }
  positions_saved_us_ = now;
  for (Queue queue : kAllQueues) {
    for (const auto& stream : queues_[QueueIndex(queue)].streams) {
      if (stream->NextToStore() > 1) journal_.Release(stream->epoch.id, queue, stream->NextToStore() - 1);
      if (stream->last > stream->acked_to) journal_.Remember(stream->epoch, queue, stream->last, stream->acked_to);
    }
  }
  if (store_->is_open()) {
    if (const absl::Status noted = NoteUse(); !noted.ok()) WriterFailed(noted);
  }
  loaded_ = true;
  writer_ = std::thread([this] { RunWriter(); });
  journal_.Start(this);
  ForgetAtStart();
  return absl::OkStatus();
}

// On the writer's thread, like everything that touches the database once it runs. What fails is tried again at the next
// change of segment.
void OutboxImpl::ForgetAtStart() {
  OnWriter([this]() -> absl::Status {
    if (!store_->is_open()) return absl::OkStatus();
    // The last numbers of earlier epochs now, while the segments that tell them are still there.
    absl::Status forgotten = SaveRest();
    if (forgotten.ok()) forgotten = ForgetEmptyStreams();
    if (!forgotten.ok()) WriterFailed(forgotten);
    return absl::IsDataLoss(forgotten) ? Renew() : absl::OkStatus();
  }).IgnoreError();
}

absl::Status OutboxImpl::AddMissingStreams() {
  {
    Lock lock(mu_);
    const auto missing = [](const auto& stream) { return stream->id == 0; };
    if (std::none_of(queues_.begin(), queues_.end(), [&](const QueueState& state) {
          return std::any_of(state.streams.begin(), state.streams.end(), missing);
        })) {
      return absl::OkStatus();
    }
  }
  RETURN_IF_ERROR(store_->Begin());
  absl::Status status;
  std::vector<Stream*> added;
  {
    Lock lock(mu_);
    for (QueueState& state : queues_) {
      for (const auto& stream : state.streams) {
        if (stream->id != 0 || !status.ok()) continue;
        added.push_back(stream.get());
        status = store_->AddStream(*stream);
      }
    }
  }
  if (status.ok()) status = store_->Commit();
  if (status.ok()) return status;
  store_->Rollback();
  Lock lock(mu_);
  for (Stream* stream : added) stream->id = 0;
  return status;
}

absl::Status OutboxImpl::RecoverStream(Stream& stream, uint64_t cursor) {
  uint64_t high;
  {
    Lock lock(mu_);
    if (cursor > stream.last) {
      if (&stream == &Running(stream.queue)) {
        ++counters_["acks_beyond_last"];
        return absl::FailedPreconditionError(StrCat("the cloud has number ", cursor, " of the running epoch on ",
                                                    QueueName(stream.queue), "; the last one taken is ", stream.last));
      }
    }
    high = std::min(stream.acked_high, stream.last);
  }
  if (cursor >= stream.acked_to) {
    AcknowledgeStored(stream.queue, stream.epoch.id, cursor);
    return absl::OkStatus();
  }
  // The cloud was restored: what it lacks is pending again.
  RETURN_IF_ERROR(EnsureStore());
  RETURN_IF_ERROR(FillHoles(stream, cursor + 1, high, GapReason::kBeyondReplayWindow));
  Lock lock(mu_);
  stream.stored_to = std::max(stream.stored_to, high);
  stream.acked_to = cursor;
  stream.changed = true;
  snapshot_needed_ = true;  // writes the positions soon
  ++counters_["rewinds"];
  return absl::OkStatus();
}

absl::Status OutboxImpl::FillHoles(Stream& stream, uint64_t first, uint64_t last, GapReason reason) {
  for (uint64_t next = first; next <= last;) {
    // The next hole of the database.
    uint64_t hole_end = last, seen = next;
    RETURN_IF_ERROR(store_->ReadItems(stream, next, last, [&](Item item) {
      if (item.first <= seen) {
        seen = item.last + 1;
        return true;
      }
      hole_end = item.first - 1;
      return false;
    }));
    next = seen;
    if (next > hole_end) return absl::OkStatus();
    std::vector<Item> items;
    uint64_t missing_to = hole_end;
    RETURN_IF_ERROR(journal_.Read(stream.epoch.id, stream.queue, next, hole_end, [&](Item item) {
      if (item.first > (items.empty() ? next : items.back().last + 1)) {
        missing_to = item.first - 1;
        return false;
      }
      items.push_back(std::move(item));
      return items.size() < kBatchRows;
    }));
    if (items.empty()) {
      RETURN_IF_ERROR(InsertGap(stream, next, missing_to, reason));
      next = missing_to + 1;
    } else {
      next = items.back().last + 1;
      RETURN_IF_ERROR(InsertRows(stream, items));
    }
  }
  return absl::OkStatus();
}

absl::Status OutboxImpl::InsertGap(Stream& stream, uint64_t first, uint64_t last, GapReason reason) {
  Item gap;
  gap.epoch = stream.epoch.id;
  gap.queue = stream.queue;
  gap.first = first;
  gap.last = last;
  gap.gap = reason;
  std::vector<Item> items(1, std::move(gap));
  return InsertRows(stream, items);
}

absl::Status OutboxImpl::InsertRows(Stream& stream, const std::vector<Item>& items) {
  StoredRange added{.first = items.front().first, .last = items.back().last, .stored_ms = clock_.WallMs()};
  RETURN_IF_ERROR(AddMissingStreams());
  RETURN_IF_ERROR(store_->Begin());
  // Rows that are there but cannot be read make way for what replaces them.
  absl::Status status = store_->DeleteItems(stream.id, added.first, added.last);
  for (const Item& item : items) {
    if (status.ok()) status = store_->PutItem(stream, item).status();
    ++added.rows;
    added.gaps += item.IsGap() ? 1 : 0;
    added.bytes += item.bytes.size();
  }
  size_t at = 0;
  while (at < stream.ranges.size() && stream.ranges[at].last < added.last) ++at;
  const bool inside = at < stream.ranges.size() && stream.ranges[at].first <= added.last;
  StoredRange range = added;
  if (inside) {
    range = stream.ranges[at];
    range.rows += added.rows;
    range.gaps += added.gaps;
    range.bytes += added.bytes;
    range.first = std::min(range.first, added.first);
  }
  if (status.ok()) status = store_->PutRange(stream.id, range);
  if (status.ok()) status = store_->Commit();
  if (!status.ok()) {
    store_->Rollback();
    return status;
  }
  Lock lock(mu_);
  if (inside) {
    stream.ranges[at] = range;
  } else {
    stream.ranges.insert(stream.ranges.begin() + static_cast<ptrdiff_t>(at), range);
  }
  for (const Item& item : items) {
    if (item.IsGap()) ++counters_[item.gap == GapReason::kBeyondReplayWindow ? "beyond_replay_window" : "gaps_declared"];
  }
  return absl::OkStatus();
}

}  // namespace sluice::outbox
