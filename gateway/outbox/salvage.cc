// A database that cannot be used is set aside, never deleted; what reads well in it goes on under its old keys, the
// rest becomes gaps (delivery case 13).
#include <algorithm>

#include "base/status.h"
#include "gateway/outbox/outbox_impl.h"

namespace sluice::outbox {
namespace {

constexpr size_t kBatchRows = 2000;
// About the rows of one page: where a page cannot be read, reading goes on behind it.
constexpr uint64_t kFirstStep = 8;
constexpr int kMostSteps = 100'000;
// A second's work; more is done while the daemon runs already.
constexpr uint64_t kRowsAtStart = 100'000;

}  // namespace

void OutboxImpl::FindSalvages() {
  for (const std::string& name : SalvageFiles()) {
    const std::string path = StrCat(options_.folder, "/", name);
    if (std::any_of(salvages_.begin(), salvages_.end(), [&](const Salvage& each) { return each.path == path; })) continue;
    Salvage salvage{.path = path};
    absl::StatusOr<sqlite::Database> opened = OpenForReading(path);
    std::vector<std::unique_ptr<Stream>> streams;
    absl::Status status = opened.status();
    if (opened.ok()) {
      salvage.db = std::make_shared<sqlite::Database>(*std::move(opened));
      auto loaded = outbox::LoadStreams(*salvage.db);
      status = loaded.status();
      if (loaded.ok()) streams = *std::move(loaded);
    }
    if (!status.ok()) {
      Lock lock(mu_);
      report_.warnings.emplace_back(MessageOf(status));
    }
    salvage.rescues = AdoptStreams(std::move(streams));
    salvages_.push_back(std::move(salvage));
  }
}

void OutboxImpl::SalvageAtStart() {
  FindSalvages();
  uint64_t rows = 0;
  for (const Salvage& salvage : salvages_) {
    for (const Rescue& rescue : salvage.rescues) rows += rescue.rows;
  }
  if (rows > kRowsAtStart) {
    // The first thing the writer does: whoever wants one of these rows waits for it, new events do not.
    report_.warnings.push_back(StrCat(rows, " rows are being salvaged"));
    return;
  }
  if (const absl::Status status = FinishSalvages(); !status.ok()) {
    report_.warnings.push_back(StrCat("the salvage is tried again: ", MessageOf(status)));
    WriterFailed(status);
  }
  report_.salvaged = static_cast<uint64_t>(counters_["salvaged_rows"]);
}

absl::Status OutboxImpl::FinishSalvages() {
  while (!salvages_.empty()) {
    Salvage& salvage = salvages_.front();
    RETURN_IF_ERROR(AddMissingStreams());
    if (salvage.db != nullptr && !salvage.snapshots_done) {
      RETURN_IF_ERROR(SalvageSnapshots(*salvage.db));
      salvage.snapshots_done = true;
    }
    RETURN_IF_ERROR(SalvageRows(salvage));
    salvage.db.reset();
    Salvaged(salvage.path);
    salvages_.pop_front();
  }
  return absl::OkStatus();
}

// An earlier run may have got as far as adding some of them.
std::vector<OutboxImpl::Rescue> OutboxImpl::AdoptStreams(std::vector<std::unique_ptr<Stream>> streams) {
  const std::string gateway = journal_.epoch().gateway;   // not under the lock: the journal's comes first
  std::vector<Rescue> rescues;
  std::vector<std::unique_ptr<Stream>> unknown;
  Lock lock(mu_);
  for (auto& old : streams) {
    if (old->epoch.gateway != gateway) {
      unknown.push_back(std::move(old));   // told of, and left where it is
      continue;
    }
    Stream* known = FindStream(old->queue, old->epoch.id);
    rescues.push_back({known != nullptr ? known : old.get(), old->id, old->Stored().rows});
    if (known != nullptr) {
      known->last = std::max(known->last, old->last);
      known->stored_to = std::max(known->stored_to, old->stored_to);
      known->changed = true;
      continue;
    }
    old->id = 0;
    old->ranges.clear();
    old->changed = true;
    unknown.push_back(std::move(old));
  }
  // Once all runs there is a running one, which is and stays the last.
  EpochId running;
  if (loaded_) running = Running(kAllQueues[0]).epoch.id;
  TakeStreams(std::move(unknown), gateway);
  if (loaded_) SortStreams(running);
  return rescues;
}

absl::StatusOr<std::vector<OutboxImpl::Rescue>> OutboxImpl::AddStreamsAnew() {
  std::vector<Rescue> rescues;
  RETURN_IF_ERROR(store_->Begin());
  absl::Status status;
  {
    Lock lock(mu_);
    for (QueueState& state : queues_) {
      for (const auto& stream : state.streams) {
        if (!status.ok()) continue;
        rescues.push_back({stream.get(), stream->id, stream->Stored().rows});
        status = store_->AddStream(*stream);
      }
    }
  }
  if (status.ok()) status = store_->Commit();
  Lock lock(mu_);
  if (!status.ok()) {
    store_->Rollback();
    for (const Rescue& rescue : rescues) rescue.stream->id = rescue.old_id;
    return status;
  }
  for (const Rescue& rescue : rescues) {
    rescue.stream->ranges.clear();
    rescue.stream->changed = true;
  }
  std::stable_sort(rescues.begin(), rescues.end(),
                   [](const Rescue& a, const Rescue& b) { return a.stream->epoch.ordinal < b.stream->epoch.ordinal; });
  return rescues;
}

absl::Status OutboxImpl::SalvageSnapshots(sqlite::Database& db) {
  const auto snapshots = outbox::LoadSnapshots(db);
  if (!snapshots.ok()) {
    Lock lock(mu_);
    report_.warnings.emplace_back(MessageOf(snapshots.status()));
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(store_->Begin());
  absl::Status status = store_->PutSnapshots(*snapshots);
  if (status.ok()) status = store_->Commit();
  if (!status.ok()) store_->Rollback();
  return status;
}

absl::Status OutboxImpl::SalvageRows(Salvage& salvage) {
  for (Rescue& rescue : salvage.rescues) {
    if (salvage.db != nullptr) RETURN_IF_ERROR(SalvageStream(*salvage.db, rescue));
    Stream& stream = *rescue.stream;
    RETURN_IF_ERROR(FillHoles(stream, stream.acked_to + 1, stream.stored_to, GapReason::kCorrupt));
  }
  return absl::OkStatus();
}

// Goes on where an earlier try ended, for want of room or by an error of the disk.
absl::Status OutboxImpl::SalvageStream(sqlite::Database& db, Rescue& rescue) {
  Stream& stream = *rescue.stream;
  Stream old;
  old.id = rescue.old_id;
  old.epoch = stream.epoch;
  old.queue = stream.queue;
  std::vector<Item> batch;
  uint64_t bad_rows = 0, step = kFirstStep;
  for (int tries = 0; tries < kMostSteps && rescue.next <= kHighestNumber; ++tries) {
    bool full = false;
    uint64_t reached = 0;
    const absl::Status read = LoadItems(
        db, old, rescue.next, kHighestNumber, sealer_,
        [&](Item item) {
          batch.push_back(std::move(item));
          full = batch.size() >= kBatchRows;
          return !full;
        },
        &bad_rows, &reached);
    if (!batch.empty()) {
      RETURN_IF_ERROR(InsertRows(stream, batch));
      const Lock lock(mu_);
      counters_["salvaged_rows"] += static_cast<int64_t>(batch.size());
      batch.clear();
    }
    if (reached != 0) {
      rescue.next = reached + 1;
      step = kFirstStep;
    }
    if (full) continue;
    if (read.ok()) break;
    rescue.next += step;
    step = std::min(step * 2, uint64_t{1} << 40);
  }
  Lock lock(mu_);
  if (!stream.ranges.empty()) {
    stream.stored_to = std::max(stream.stored_to, stream.ranges.back().last);
    stream.last = std::max(stream.last, stream.stored_to);
  }
  return absl::OkStatus();
}

}  // namespace sluice::outbox
