#include "gateway/outbox/outbox.h"

#include <algorithm>

#include "base/status.h"
#include "gateway/outbox/outbox_impl.h"

namespace sluice::outbox {
namespace {

constexpr size_t kTimesKept = 1024;
constexpr size_t kRejectedKept = 1000;
constexpr int64_t kMergeTimesMs = 20;   // how far a remembered time may be off

}  // namespace

OutboxImpl::OutboxImpl(const Options& options, journal::Journal& journal, const Clock& clock, const Sealer* sealer,
                       Snapshots* snapshots)
    : options_(options),
      journal_(journal),
      clock_(clock),
      sealer_(sealer),
      snapshots_(snapshots),
      files_(options.files != nullptr ? *options.files : machine_),
      path_(StrCat(options.folder, "/outbox.db")) {}

OutboxImpl::~OutboxImpl() { Close().IgnoreError(); }

Stream* OutboxImpl::FindStream(Queue queue, const EpochId& epoch) const {
  const auto& streams = queues_[QueueIndex(queue)].streams;
  // The running one first: nearly all calls are for it.
  for (auto it = streams.rbegin(); it != streams.rend(); ++it) {
    if ((*it)->epoch.id == epoch) return it->get();
  }
  return nullptr;
}

void OutboxImpl::OnAppended(Item item) {
  QueueState& state = queues_[QueueIndex(item.queue)];
  Lock lock(mu_);
  Stream& stream = *state.streams.back();
  stream.last = item.last;
  const int64_t now = clock_.MonotonicUs();
  const bool contiguous = stream.memory.empty() || stream.memory.back().item.last + 1 == item.first;
  // With a disk slower than the devices the newest stay in the journal alone until the rest is stored.
  if (contiguous && memory_bytes_ < options_.memory_bytes) {
    stream.memory.push_back({std::move(item), now});
    memory_bytes_ += stream.memory.back().Cost();
  } else if (stream.journal_since_us == 0) {
    stream.journal_since_us = now;
  }
  if (writer_sleeps_ && MemoryShort()) {
    writer_sleeps_ = false;
    writer_cv_.notify_one();
  }
  if (!state.armed || !state.wake) return;
  state.armed = false;
  const std::function<void()>& wake = state.wake;  // set before the first item, never again
  lock.unlock();
  wake();
}

void OutboxImpl::OnSpaceNeeded(uint64_t) {
  Lock lock(mu_);
  space_needed_ = true;
  writer_cv_.notify_one();
}

void OutboxImpl::OnSegmentChange() {
  Lock lock(mu_);
  snapshot_needed_ = true;
  writer_cv_.notify_one();
}

void OutboxImpl::SetWakeup(Queue queue, std::function<void()> wake) {
  Lock lock(mu_);
  queues_[QueueIndex(queue)].wake = std::move(wake);
}

void OutboxImpl::LinkUp(Queue queue, bool up) {
  {
    Lock lock(mu_);
    queues_[QueueIndex(queue)].link_up = up;
  }
  journal_.LinkUp(queue, up);
}

void OutboxImpl::DropMemory(Stream& stream, uint64_t through) {
  while (!stream.memory.empty() && stream.memory.front().item.last <= through) {
    memory_bytes_ -= stream.memory.front().Cost();
    stream.memory.pop_front();
  }
}

void OutboxImpl::NoteTime(QueueState& state, int64_t stream, int kind, uint64_t first, uint64_t last) {
  const int64_t now = clock_.WallMs();
  // Sent and acknowledged alternate: look past the newest of the other kind.
  size_t looked = 0;
  for (auto it = state.times.rbegin(); it != state.times.rend() && looked < 2; ++it, ++looked) {
    const size_t index = state.times.size() - 1 - looked;
    if (it->kind != kind || it->stream != stream || index < state.times_saved) continue;
    if (first <= it->last + 1 && last > it->last && now >= it->begun_ms && now - it->begun_ms < kMergeTimesMs) {
      it->last = last;
      // Sent no earlier than told, acknowledged no later.
      if (kind == kAcknowledged) it->at_ms = now;
      return;
    }
    break;
  }
  state.times.push_back({stream, kind, first, last, now, now});
  if (state.times.size() > kTimesKept) {
    state.times.pop_front();
    if (state.times_saved > 0) --state.times_saved;
  }
}

void OutboxImpl::AcknowledgeStored(Queue queue, const EpochId& epoch, uint64_t through) {
  int64_t ack_time_us = 0;
  {
    Lock lock(mu_);
    QueueState& state = queues_[QueueIndex(queue)];
    Stream* stream = FindStream(queue, epoch);
    if (stream == nullptr) return;
    if (through > stream->last) {
      // In the running epoch the cloud cannot have what was never sent; nothing is let go for it (case 36).
      if (stream == &Running(queue)) {
        ++counters_["acks_beyond_last"];
        return;
      }
      stream->last = through;
    }
    if (through <= stream->acked_to) return;
    if (stream->InMemory(through)) {
      ack_time_us = std::max<int64_t>(
          1, clock_.MonotonicUs() - stream->memory[through - stream->memory.front().item.first].since_us);
      state.ack_time_us =
          state.ack_time_us == 0 ? ack_time_us : state.ack_time_us + (ack_time_us - state.ack_time_us) / 8;
    }
    NoteTime(state, stream->id, kAcknowledged, stream->acked_to + 1, through);
    counters_["acknowledged"] += static_cast<int64_t>(through - stream->acked_to);
    state.acknowledged += through - stream->acked_to;
    stream->acked_to = through;
    stream->acked_high = std::max(stream->acked_high, through);
    stream->changed = true;
    DropMemory(*stream, through);
  }
  journal_.Acknowledged(epoch, queue, through, ack_time_us);
  journal_.Release(epoch, queue, through);
}

QueueFigures OutboxImpl::figures(Queue queue) const {
  Lock lock(mu_);
  const QueueState& state = queues_[QueueIndex(queue)];
  QueueFigures out;
  out.acknowledged = state.acknowledged;
  int64_t oldest = 0;
  for (const auto& stream : state.streams) {
    const Stream::Amount stored = stream->Stored();
    const Stream::Amount acked = stream->StoredUpTo(stream->acked_to);
    out.stored += stored.rows;
    out.stored_bytes += stored.bytes;
    out.pending += stored.rows - acked.rows;
    out.pending_bytes += stored.bytes - acked.bytes;
    for (const StoredRange& range : stream->ranges) out.gaps += range.gaps;
    const uint64_t next = stream->NextToStore();
    if (next <= stream->last) out.pending += stream->last - next + 1;
    if (next > stream->acked_to + 1 || stream->JournalOnly()) {
      oldest = oldest == 0 ? stream->journal_since_us : oldest;
    }
    for (const Entry& entry : stream->memory) out.pending_bytes += entry.item.bytes.size();
    out.in_memory += stream->memory.size();
    if (oldest == 0 && !stream->memory.empty()) oldest = stream->memory.front().since_us;
  }
  if (oldest != 0) out.oldest_pending_ms = std::max<int64_t>(1, (clock_.MonotonicUs() - oldest) / 1000);
  out.ack_time_us = state.ack_time_us;
  if (!state.streams.empty()) out.last_number = state.streams.back()->last;
  return out;
}

void OutboxImpl::PutRejected(std::string row) {
  Lock lock(mu_);
  ++counters_["rejected"];
  rejected_.push_back(std::move(row));
  if (rejected_.size() > kRejectedKept) rejected_.pop_front();
}

absl::StatusOr<std::vector<std::string>> OutboxImpl::ListRejected(size_t newest) {
  std::vector<std::string> out;
  {
    Lock lock(mu_);
    for (auto it = rejected_.rbegin(); it != rejected_.rend() && out.size() < newest; ++it) out.push_back(*it);
  }
  if (out.size() >= newest) return out;
  ASSIGN_OR_RETURN(std::vector<std::string> saved, store_->ReadRejected(newest - out.size()));
  std::move(saved.begin(), saved.end(), std::back_inserter(out));
  return out;
}

StartReport OutboxImpl::start_report() const {
  Lock lock(mu_);
  return report_;
}

std::map<std::string, std::string> OutboxImpl::LoadSnapshots() {
  int64_t renewals;
  {
    Lock lock(mu_);
    renewals = renewals_;
  }
  auto rows = store_->ReadSnapshots();
  if (absl::IsDataLoss(rows.status()) && RenewUnlessDone(renewals).ok()) rows = store_->ReadSnapshots();
  // Without them a repetition is taken again, under the same event id.
  if (rows.ok()) return *std::move(rows);
  if (!absl::IsNotFound(rows.status())) {
    Lock lock(mu_);
    report_.warnings.push_back(StrCat("snapshots: ", MessageOf(rows.status())));
  }
  return {};
}

std::map<std::string, int64_t> OutboxImpl::counters() const {
  Lock lock(mu_);
  std::map<std::string, int64_t> out = counters_;
  out["memory_bytes"] = static_cast<int64_t>(memory_bytes_);
  return out;
}

}  // namespace sluice::outbox
