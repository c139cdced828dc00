// The writer thread: stores what the cloud does not take in time, keeps the quota, saves what must not be lost.
#include <algorithm>
#include <chrono>
#include <future>

#include "base/fail_point.h"
#include "base/status.h"
#include "gateway/outbox/outbox_impl.h"

namespace sluice::outbox {
namespace {

constexpr size_t kBatchRows = 2000;
constexpr size_t kBatchBytes = 1u << 20;
constexpr uint64_t kRangeRows = 4096;  // ranges grow to this before a new one begins
constexpr int64_t kRangeMs = 10'000;
constexpr int64_t kRetryUs = 1'000'000;
constexpr int64_t kRejectedEveryUs = 1'000'000;
constexpr int64_t kPositionsEveryUs = 30'000'000;
constexpr size_t kRejectedKept = 1000;
constexpr size_t kTimesKept = 4096;
constexpr uint64_t kRowOverheadBytes = 60;  // what a row takes besides its bytes

}  // namespace

absl::Status OutboxImpl::OnWriter(std::function<absl::Status()> work) {
  if (std::this_thread::get_id() == writer_.get_id()) return work();
  std::promise<absl::Status> promise;
  {
    Lock lock(mu_);
    if (stop_) return absl::UnavailableError("the outbox is closed");
    jobs_.push_back([&] { promise.set_value(work()); });
    writer_cv_.notify_one();
  }
  return promise.get_future().get();
}

void OutboxImpl::RunWriter() {
  Lock lock(mu_);
  for (;;) {
    while (!jobs_.empty()) {
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
    if (stop_) break;
    const int64_t now = clock_.MonotonicUs();
    const int64_t due = DueUs(now);
    if (due > now) {
      writer_sleeps_ = true;
      writer_cv_.wait_for(lock, std::chrono::microseconds(due - now));
      writer_sleeps_ = false;
      continue;
    }
    const bool all = space_needed_;
    std::vector<Spill> spills = PlanSpill(now, all);
    if (spills.empty()) space_needed_ = false;
    const bool segment_changed = snapshot_needed_;
    lock.unlock();
    absl::Status status = EnsureStore();
    if (status.ok()) status = spills.empty() ? SaveRest() : SpillSome(std::move(spills));
    if (status.ok()) status = TrimReplayWindow();
    if (status.ok() && segment_changed) status = ForgetEmptyStreams();
    if (!status.ok()) WriterFailed(status);
    if (absl::IsDataLoss(status)) {
      if (absl::Status renewed = Renew(); !renewed.ok()) WriterFailed(renewed);
    }
    lock.lock();
  }
}

void OutboxImpl::WriterFailed(const absl::Status& status) {
  Lock lock(mu_);
  ++counters_[absl::IsResourceExhausted(status) ? "database_full" : "sqlite_errors"];
  counters_["writes_failing"] = 1;
  retry_at_us_ = clock_.MonotonicUs() + kRetryUs;
}

int64_t OutboxImpl::DueUs(int64_t now) const {
  const int64_t spill_after_us = options_.spill_after_ms * 1000;
  // Nothing tells of single items: an item that comes after this was computed is looked at in time.
  int64_t due = now + std::max<int64_t>(spill_after_us, 1000);
  if (space_needed_ || snapshot_needed_ || MemoryShort() || !salvages_.empty()) due = now;
  if (!rejected_.empty()) due = std::min(due, rejected_saved_us_ + kRejectedEveryUs);
  if (const auto failing = counters_.find("writes_failing"); failing != counters_.end() && failing->second != 0) due = now;
  for (const QueueState& state : queues_) {
    for (const auto& stream : state.streams) {
      const uint64_t next = stream->NextToStore();
      if (next <= stream->last) {
        const int64_t since = stream->InMemory(next) ? stream->memory[next - stream->memory.front().item.first].since_us
                                                     : stream->journal_since_us;
        due = std::min(due, since + spill_after_us);
      }
      if (stream->changed && !stream->ranges.empty()) due = std::min(due, positions_saved_us_ + kPositionsEveryUs);
    }
  }
  return retry_at_us_ > now ? std::max(due, retry_at_us_) : due;
}

std::vector<OutboxImpl::Spill> OutboxImpl::PlanSpill(int64_t now, bool all) {
  std::vector<Spill> spills;
  const int64_t after_us = options_.spill_after_ms * 1000;
  all = all || MemoryShort();
  size_t rows = 0, bytes = 0;
  for (QueueState& state : queues_) {
    for (const auto& owner : state.streams) {
      Stream& stream = *owner;
      const uint64_t next = stream.NextToStore();
      if (next > stream.last || rows >= kBatchRows || bytes >= kBatchBytes) continue;
      Spill spill{.stream = &stream, .from = next};
      if (!stream.InMemory(next)) {
        if (!all && now - stream.journal_since_us < after_us) continue;
        spill.from_journal = true;
        spill.through = stream.memory.empty() ? stream.last : stream.memory.front().item.first - 1;
        rows += kBatchRows / 2;
      } else {
        size_t at = next - stream.memory.front().item.first;
        if (!all && now - stream.memory[at].since_us < after_us) continue;
        // With the due ones go those that would be due soon: fewer and fuller transactions.
        for (; at < stream.memory.size() && rows < kBatchRows && bytes < kBatchBytes; ++at) {
          const Entry& entry = stream.memory[at];
          if (!all && now - entry.since_us < after_us / 2) break;
          spill.items.push_back(entry.item);
          spill.through = entry.item.last;
          ++rows;
          bytes += entry.item.bytes.size();
        }
      }
      spills.push_back(std::move(spill));
    }
  }
  return spills;
}

absl::Status OutboxImpl::FillFromJournal(Spill& spill) {
  const Stream& stream = *spill.stream;
  uint64_t next = spill.from;
  size_t bytes = 0;
  bool cut = false;
  const auto hole = [&](uint64_t first, uint64_t last, GapReason reason) {
    Item gap;
    gap.epoch = stream.epoch.id;
    gap.queue = stream.queue;
    gap.first = first;
    gap.last = last;
    gap.gap = reason;
    spill.items.push_back(std::move(gap));
  };
  RETURN_IF_ERROR(journal_.Read(stream.epoch.id, stream.queue, spill.from, spill.through, [&](Item item) {
    if (item.first > next) hole(next, item.first - 1, GapReason::kCorrupt);
    next = item.last + 1;
    bytes += item.bytes.size();
    spill.items.push_back(std::move(item));
    cut = spill.items.size() >= kBatchRows || bytes >= kBatchBytes;
    return !cut;
  }));
  Lock lock(mu_);
  if (cut) {
    spill.through = next - 1;
  } else if (next <= spill.through) {
    const bool tail = spill.through == stream.last && &stream != &Running(stream.queue);
    hole(next, spill.through, tail ? GapReason::kLostTail : GapReason::kCorrupt);
  }
  // What was acknowledged while we read may have been recycled under us; it is no hole.
  std::erase_if(spill.items, [&](const Item& item) { return item.last <= stream.acked_to; });
  spill.holes = std::count_if(spill.items.begin(), spill.items.end(), [](const Item& item) { return item.IsGap(); });
  if (!spill.items.empty() && spill.items.front().IsGap()) {
    spill.items.front().first = std::max(spill.items.front().first, stream.acked_to + 1);
  }
  return absl::OkStatus();
}

absl::Status OutboxImpl::SpillSome(std::vector<Spill> spills) {
  RETURN_IF_ERROR(EnsureStore());
  for (Spill& spill : spills) {
    if (spill.from_journal) RETURN_IF_ERROR(FillFromJournal(spill));
  }
  return WriteSpills(spills);
}

absl::Status OutboxImpl::WriteSpills(std::vector<Spill>& spills) {
  // Room first: for what must not be dropped, then for bulk, which becomes a gap where there is none.
  for (const bool critical : {true, false}) {
    uint64_t bytes = 0;
    for (const Spill& spill : spills) {
      if (IsBulk(spill.stream->queue) == critical) continue;
      for (const Item& item : spill.items) bytes += item.bytes.size() + kRowOverheadBytes;
    }
    if (bytes == 0) continue;
    const absl::Status room = MakeRoom(bytes, critical);
    if (room.ok()) continue;
    if (!absl::IsResourceExhausted(room)) return room;
    if (critical) {
      std::erase_if(spills, [](const Spill& spill) { return !IsBulk(spill.stream->queue); });
      Lock lock(mu_);
      ++counters_["critical_waits_for_room"];
      retry_at_us_ = clock_.MonotonicUs() + kRetryUs;
      continue;
    }
    for (Spill& spill : spills) {
      if (!IsBulk(spill.stream->queue) || spill.items.empty()) continue;
      Item gap;
      gap.epoch = spill.stream->epoch.id;
      gap.queue = spill.stream->queue;
      gap.first = spill.items.front().first;
      gap.last = spill.items.back().last;
      gap.gap = GapReason::kQuota;
      {
        Lock lock(mu_);
        counters_["dropped_bulk"] += static_cast<int64_t>(spill.items.size());
      }
      spill.items.assign(1, std::move(gap));
    }
  }
  if (spills.empty()) return absl::OkStatus();

  const int64_t now_ms = clock_.WallMs();
  RETURN_IF_ERROR(AddMissingStreams());
  RETURN_IF_ERROR(store_->Begin());
  absl::Status status;
  uint64_t rows = 0;
  for (Spill& spill : spills) {
    spill.added = {.stored_ms = now_ms};
    for (const Item& item : spill.items) {
      absl::StatusOr<bool> fresh = store_->PutItem(*spill.stream, item);
      status.Update(fresh.status());
      if (!status.ok()) break;
      if (spill.added.first == 0) spill.added.first = item.first;
      spill.added.last = item.last;
      if (!*fresh) continue;
      ++spill.added.rows;
      spill.added.gaps += item.IsGap() ? 1 : 0;
      spill.added.bytes += item.bytes.size();
    }
    rows += spill.added.rows;
    if (!status.ok() || spill.added.rows == 0) continue;
    // Extend the newest range rather than begin one for each transaction.
    const auto& ranges = spill.stream->ranges;
    if (!ranges.empty()) {
      const StoredRange& back = ranges.back();
      if (back.rows + spill.added.rows <= kRangeRows && back.last < spill.added.first && back.rows > back.gaps &&
          now_ms >= back.stored_ms && now_ms - back.stored_ms < kRangeMs) {
        status.Update(store_->DeleteRange(spill.stream->id, back.last));
        spill.added = {back.first,
                       spill.added.last,
                       back.rows + spill.added.rows,
                       back.bytes + spill.added.bytes,
                       back.gaps + spill.added.gaps,
                       back.stored_ms};
      }
    }
    status.Update(store_->PutRange(spill.stream->id, spill.added));
  }
  std::map<Stream*, uint64_t> stored;
  for (const Spill& spill : spills) stored[spill.stream] = spill.through;
  if (status.ok()) status = SaveWithin(stored);
  if (!status.ok()) {
    store_->Rollback();
    return status;
  }
  {
    Lock lock(mu_);
    counters_["spilled_rows"] += static_cast<int64_t>(rows);
    for (const Spill& spill : spills) {
      Stream& stream = *spill.stream;
      if (spill.added.rows > 0) {
        if (!stream.ranges.empty() && stream.ranges.back().first == spill.added.first) stream.ranges.pop_back();
        stream.ranges.push_back(spill.added);
      }
      stream.stored_to = std::max(stream.stored_to, spill.through);
      DropMemory(stream, stream.stored_to);
      if (!stream.JournalOnly()) stream.journal_since_us = 0;
      counters_["gaps_declared"] += spill.holes;
    }
  }
  for (const Spill& spill : spills) journal_.Release(spill.stream->epoch.id, spill.stream->queue, spill.through);
  return absl::OkStatus();
}

// Puts everything that rides along into the open transaction and commits it. On failure what was taken is given back.
absl::Status OutboxImpl::SaveWithin(const std::map<Stream*, uint64_t>& stored) {
  struct Position {
    Stream* stream;
    uint64_t last, stored_to, acked_to;
  };
  std::vector<Position> positions;
  std::vector<TimeRow> times;
  std::vector<std::string> rejected;
  {
    Lock lock(mu_);
    snapshot_needed_ = false;
    for (QueueState& state : queues_) {
      for (const auto& owner : state.streams) {
        const auto now = stored.find(owner.get());
        if (!owner->changed && now == stored.end()) continue;
        const uint64_t to = now == stored.end() ? owner->stored_to : std::max(owner->stored_to, now->second);
        positions.push_back({owner.get(), owner->last, to, owner->acked_to});
        owner->changed = false;
      }
      times.insert(times.end(), state.times.begin() + static_cast<ptrdiff_t>(state.times_saved), state.times.end());
      state.times_saved = state.times.size();
    }
    rejected.assign(rejected_.begin(), rejected_.end());
    rejected_.clear();
  }
  std::map<std::string, std::string> snapshots;
  if (snapshots_ != nullptr) snapshots = snapshots_->TakeChanged();
  absl::Status status;
  for (const Position& position : positions) {
    status.Update(store_->SavePositions(position.stream->id, position.last, position.stored_to, position.acked_to));
  }
  if (status.ok()) status = store_->PutSnapshots(snapshots);
  if (status.ok()) status = store_->PutTimes(times, kTimesKept);
  if (status.ok()) status = store_->PutRejected(rejected, kRejectedKept);
  if (status.ok()) status = store_->Commit();
  Lock lock(mu_);
  const int64_t now = clock_.MonotonicUs();
  if (status.ok()) {
    ++counters_["spill_transactions"];
    counters_["writes_failing"] = 0;
    positions_saved_us_ = rejected_saved_us_ = now;
    return status;
  }
  for (const Position& position : positions) position.stream->changed = true;
  rejected_.insert(rejected_.begin(), rejected.begin(), rejected.end());
  snapshot_needed_ = true;
  lock.unlock();
  if (snapshots_ != nullptr && !snapshots.empty()) snapshots_->GiveBack(std::move(snapshots));
  return status;
}

absl::Status OutboxImpl::SaveRest() {
  {
    Lock lock(mu_);
    const int64_t now = clock_.MonotonicUs();
    // What failed before is tried until it goes well again, also where nothing new is to be written.
    bool wanted = counters_["writes_failing"] != 0 || snapshot_needed_ || (!rejected_.empty() && rejected_saved_us_ + kRejectedEveryUs <= now);
    for (const QueueState& state : queues_) {
      for (const auto& stream : state.streams) {
        wanted |= stream->changed && !stream->ranges.empty() && positions_saved_us_ + kPositionsEveryUs <= now;
      }
    }
    if (!wanted && !stop_) return absl::OkStatus();
  }
  RETURN_IF_ERROR(AddMissingStreams());
  RETURN_IF_ERROR(store_->Begin());
  const absl::Status status = SaveWithin({});
  if (!status.ok()) store_->Rollback();
  return status;
}

absl::Status OutboxImpl::Close() {
  {
    Lock lock(mu_);
    if (closed_) return absl::OkStatus();
    closed_ = true;
  }
  if (!writer_.joinable()) return absl::OkStatus();
  journal_.Start(nullptr);
  {
    Lock lock(mu_);
    stop_ = true;
    writer_cv_.notify_one();
  }
  writer_.join();
  // Memory is bounded, so this is too; what lies in the journal alone is found there by the next start.
  absl::Status status;
  for (;;) {
    std::vector<Spill> spills;
    {
      Lock lock(mu_);
      spills = PlanSpill(clock_.MonotonicUs(), true);
    }
    std::erase_if(spills, [](const Spill& spill) { return spill.from_journal; });
    if (spills.empty()) break;
    status = SpillSome(std::move(spills));
    if (!status.ok()) break;
    Lock lock(mu_);
    if (retry_at_us_ > clock_.MonotonicUs()) break;  // no room for critical items: the journal keeps them
  }
  if (!store_->is_open()) return status;
  status.Update(SaveRest());
  status.Update(store_->Checkpoint(true));
  return status;
}

}  // namespace sluice::outbox
