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

absl::StatusOr<sqlite::Database> OpenDamaged(const std::string& path) {
  // With its write-ahead log if that is possible, else what the file itself says.
  for (const bool immutable : {false, true}) {
    absl::StatusOr<sqlite::Database> db =
        sqlite::Database::Open(path, {.read_only = immutable, .create = false, .immutable = immutable});
    if (!db.ok()) continue;
    if (db->QueryInt("SELECT count(*) FROM sqlite_schema").ok()) return db;
  }
  return absl::DataLossError(StrCat(path, " is not a database any more"));
}

}  // namespace

absl::Status OutboxImpl::SalvageAtStart(const std::string& bad) {
  absl::StatusOr<sqlite::Database> opened = OpenDamaged(bad);
  if (!opened.ok()) {
    report_.warnings.emplace_back(MessageOf(opened.status()));
    Salvaged(bad);
    return absl::OkStatus();
  }
  auto db = std::make_shared<sqlite::Database>(*std::move(opened));
  auto streams = outbox::LoadStreams(*db);
  if (!streams.ok()) {
    report_.warnings.emplace_back(MessageOf(streams.status()));
    streams.emplace();
  }
  ASSIGN_OR_RETURN(const std::vector<Rescue> rescues, AdoptStreams(*std::move(streams)));
  RETURN_IF_ERROR(SalvageSnapshots(*db));
  uint64_t rows = 0;
  for (const Rescue& rescue : rescues) rows += rescue.rows;
  if (rows <= kRowsAtStart) {
    const absl::Status status = SalvageRows(*db, rescues);
    report_.salvaged = static_cast<uint64_t>(counters_["salvaged_rows"]);
    db.reset();
    if (status.ok()) Salvaged(bad);
    return status;
  }
  // The first thing the writer does: whoever wants one of these rows waits for it, new events do not.
  report_.warnings.push_back(StrCat(rows, " rows are being salvaged"));
  jobs_.push_back([this, db, rescues, bad] {
    const absl::Status status = SalvageRows(*db, rescues);
    if (!status.ok()) return WriterFailed(status);
    Salvaged(bad);
  });
  return absl::OkStatus();
}

// An earlier run may have got as far as adding some of them.
absl::StatusOr<std::vector<OutboxImpl::Rescue>> OutboxImpl::AdoptStreams(std::vector<std::unique_ptr<Stream>> streams) {
  std::vector<Rescue> rescues;
  std::vector<std::unique_ptr<Stream>> unknown;
  for (auto& old : streams) {
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
  const std::string gateway = journal_.epoch().gateway;
  std::erase_if(rescues, [&](const Rescue& rescue) { return rescue.stream->epoch.gateway != gateway; });
  TakeStreams(std::move(unknown));
  RETURN_IF_ERROR(AddMissingStreams());
  return rescues;
}

absl::Status OutboxImpl::Renew() {
  store_->Close();
  const std::string bad = SetAside("salvaging");
  RETURN_IF_ERROR(store_->Reopen());
  {
    Lock lock(mu_);
    counters_["databases_set_aside"] = ++renewals_;
    snapshot_needed_ = true;
  }
  ASSIGN_OR_RETURN(const std::vector<Rescue> rescues, AddStreamsAnew());
  absl::StatusOr<sqlite::Database> db = OpenDamaged(bad);
  sqlite::Database none;
  if (db.ok()) RETURN_IF_ERROR(SalvageSnapshots(*db));
  RETURN_IF_ERROR(SalvageRows(db.ok() ? *db : none, rescues));
  if (db.ok()) db->Close();
  Salvaged(bad);
  return absl::OkStatus();
}

absl::Status OutboxImpl::RenewUnlessDone(int64_t renewals_seen) {
  return OnWriter([=, this]() -> absl::Status {
    {
      Lock lock(mu_);
      if (renewals_ != renewals_seen) return absl::OkStatus();  // another reader met the same damage
    }
    return Renew();
  });
}

absl::StatusOr<std::vector<OutboxImpl::Rescue>> OutboxImpl::AddStreamsAnew() {
  std::vector<Rescue> rescues;
  RETURN_IF_ERROR(store_->Begin());
  absl::Status status;
  {
    Lock lock(mu_);
    for (QueueState& state : queues_) {
      for (const auto& stream : state.streams) {
        rescues.push_back({stream.get(), stream->id, stream->Stored().rows});
        stream->ranges.clear();
        stream->changed = true;
        if (status.ok()) status = store_->AddStream(*stream);
      }
    }
  }
  if (status.ok()) status = store_->Commit();
  if (!status.ok()) {
    store_->Rollback();
    return status;
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

absl::Status OutboxImpl::SalvageRows(sqlite::Database& db, const std::vector<Rescue>& rescues) {
  for (const Rescue& rescue : rescues) {
    if (db) RETURN_IF_ERROR(SalvageStream(db, rescue));
    Stream& stream = *rescue.stream;
    RETURN_IF_ERROR(FillHoles(stream, stream.acked_to + 1, stream.stored_to, GapReason::kCorrupt));
  }
  return absl::OkStatus();
}

absl::Status OutboxImpl::SalvageStream(sqlite::Database& db, const Rescue& rescue) {
  Stream& stream = *rescue.stream;
  Stream old;
  old.id = rescue.old_id;
  old.epoch = stream.epoch;
  old.queue = stream.queue;
  std::vector<Item> batch;
  uint64_t bad_rows = 0, rows = 0, next = 1, step = kFirstStep;
  const auto put = [&]() -> absl::Status {
    if (batch.empty()) return absl::OkStatus();
    rows += batch.size();
    const absl::Status inserted = InsertRows(stream, batch);
    batch.clear();
    return inserted;
  };
  for (int tries = 0; tries < kMostSteps && next <= kHighestNumber; ++tries) {
    bool full = false;
    uint64_t reached = 0;
    const absl::Status read = LoadItems(
        db, old, next, kHighestNumber, sealer_,
        [&](Item item) {
          batch.push_back(std::move(item));
          full = batch.size() >= kBatchRows;
          return !full;
        },
        &bad_rows, &reached);
    RETURN_IF_ERROR(put());
    if (reached != 0) {
      next = reached + 1;
      step = kFirstStep;
    }
    if (full) continue;
    if (read.ok()) break;
    next += step;
    step = std::min(step * 2, uint64_t{1} << 40);
  }
  Lock lock(mu_);
  if (!stream.ranges.empty()) {
    stream.stored_to = std::max(stream.stored_to, stream.ranges.back().last);
    stream.last = std::max(stream.last, stream.stored_to);
  }
  counters_["salvaged_rows"] += static_cast<int64_t>(rows);
  return absl::OkStatus();
}

}  // namespace sluice::outbox
