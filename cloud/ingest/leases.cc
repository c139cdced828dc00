// Leases, Hello and generation: the half of SqlCursorStore that opens streams.
#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "cloud/ingest/audit.h"
#include "cloud/ingest/lease_policy.h"
#include "cloud/ingest/sql_cursor_store.h"

namespace sluice::ingest {
namespace {

// A lease that was written less than this ago is not written again by traffic: one page less per transaction.
constexpr int64_t kRenewAfterMs = 10'000;
constexpr int64_t kAuditRefusalEveryMs = 60'000;
// A Welcome must stay far below the largest message.
constexpr size_t kMaxDeadLetters = 1'000;

constexpr store::Sql kReadLease{
    "SELECT token, hardware, timeline, expires_ms, refused_ms, epoch, ordinal, left_behind FROM leases "
    "WHERE gateway = ? AND queue = ?",
    "tt", "tttiitit"};
constexpr store::Sql kTakeLease{
    "INSERT INTO leases(gateway, queue, token, hardware, timeline, expires_ms, refused_ms, epoch, ordinal, left_behind) "
    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT(gateway, queue) DO UPDATE SET token = excluded.token, hardware = excluded.hardware, "
    "timeline = excluded.timeline, expires_ms = excluded.expires_ms, "
    "refused_ms = CASE WHEN leases.timeline = excluded.timeline THEN leases.refused_ms ELSE excluded.refused_ms END, "
    "epoch = excluded.epoch, ordinal = excluded.ordinal, left_behind = excluded.left_behind",
    "tttttiitit"};
constexpr store::Sql kExtendLease{
    "UPDATE leases SET timeline = ?, expires_ms = ? WHERE gateway = ? AND queue = ? AND token = ?", "tittt"};
constexpr store::Sql kReleaseLease{
    "UPDATE leases SET token = '', expires_ms = 0 WHERE gateway = ? AND queue = ? AND token = ?", "ttt"};
constexpr store::Sql kNoteRefusal{
    "UPDATE leases SET timeline = ?, expires_ms = ?, refused_ms = ? WHERE gateway = ? AND queue = ?", "tiitt"};
constexpr store::Sql kConfirmShop{
    "INSERT INTO gateway_shops(gateway, shop, first_seen_ms) VALUES(?, ?, ?) ON CONFLICT(gateway, shop) DO NOTHING",
    "tti"};
constexpr store::Sql kReadCursor{
    "SELECT number, event_id FROM cursors WHERE gateway = ? AND epoch = ? AND queue = ?", "ttt", "it"};
constexpr store::Sql kReadDeadLetters{
    "SELECT number, reason FROM dead_letters WHERE gateway = ? AND epoch = ? AND queue = ? ORDER BY number DESC LIMIT ?",
    "ttti", "it"};
constexpr store::Sql kReadGeneration{"SELECT generation FROM store_generation", "", "t"};
constexpr store::Sql kWriteGeneration{
    "INSERT INTO store_generation(id, generation) VALUES(1, ?) "
    "ON CONFLICT(id) DO UPDATE SET generation = excluded.generation",
    "t"};

LeaseHolder HolderOf(const store::Statement& row) {
  LeaseHolder holder{.hardware = std::string(row.Text(1)),
                     .epoch = EpochId::Parse(row.Text(5)).value_or(EpochId{}),
                     .ordinal = static_cast<uint64_t>(row.Int(6))};
  for (const absl::string_view text : absl::StrSplit(AsAbsl(row.Text(7)), ' ', absl::SkipEmpty())) {
    if (const auto epoch = EpochId::Parse(AsStd(text))) holder.left_behind.push_back(*epoch);
  }
  return holder;
}

std::string LeftBehind(const LeaseHolder& holder) {
  std::string text;
  for (const EpochId& epoch : holder.left_behind) text += (text.empty() ? "" : " ") + epoch.ToHex();
  return text;
}

// As a person can compare it: both boxes are named.
std::string BoxName(const std::string& hardware, const EpochId& epoch) {
  return StrCat("hardware ", hardware, " (epoch ", epoch.ToHex(), ")");
}

}  // namespace

Id128 SqlCursorStore::NewId(Random& random) {
  Id128 id;
  random.Fill(id.bytes);
  return id;
}

absl::StatusOr<Opening> SqlCursorStore::Open(const std::string& gateway, Queue queue, const std::string& hardware_id,
                                             const std::vector<Epoch>& epochs) {
  return OpenFor("", gateway, queue, hardware_id, epochs);
}

absl::StatusOr<Opening> SqlCursorStore::OpenFor(const std::string& certified_shop, const std::string& gateway,
                                                Queue queue, const std::string& hardware_id,
                                                const std::vector<Epoch>& epochs) {
  const std::string queue_name(QueueName(queue));
  // Hexadecimal: it may be any bytes.
  const std::string hardware = absl::BytesToHexString(hardware_id);
  Opening opening;
  absl::Status refused;
  std::string alarm;
  const absl::Status status = store_.Write([&](store::Transaction& transaction) -> absl::Status {
    const int64_t now = LeaseNowMs();
    ASSIGN_OR_RETURN(store::Statement * held, transaction.Find(kReadLease, gateway, queue_name));
    const LeaseHolder before = held == nullptr ? LeaseHolder{} : HolderOf(*held);
    const bool taken = held != nullptr && !held->Text(0).empty();
    const int64_t left = taken ? lease_time_.LeftMs(held->Text(2), held->Int(3), now) : 0;
    const bool noted_here = held != nullptr && held->Text(2) == lease_time_.timeline();
    const int64_t noted = held == nullptr ? 0 : held->Int(4);
    const LeaseVerdict verdict = DecideLease(before, left > 0, hardware, epochs);
    const std::string comer = BoxName(hardware, epochs.empty() ? EpochId{} : epochs.back().id);
    if (verdict != LeaseVerdict::kTake) {
      refused = absl::FailedPreconditionError(
          StrCat(verdict == LeaseVerdict::kOtherHardware ? "other hardware" : "another box with the same hardware id",
                 " holds the lease for another ", (left + 999) / 1000, " s"));
      if (!noted_here || now - noted >= kAuditRefusalEveryMs || noted > now) {
        alarm = StrCat("gateway ", gateway, ": two boxes use its certificate (", queue_name, "): ",
                       BoxName(before.hardware, before.epoch), " holds the lease, ", comer, " waits");
        RETURN_IF_ERROR(Audit(transaction, clock_.WallMs(), gateway, "lease_refused",
                              StrCat(queue_name, " to ", comer, ", held by ", BoxName(before.hardware, before.epoch))));
        RETURN_IF_ERROR(
            transaction.Run(kNoteRefusal, lease_time_.timeline(), now + left, now, gateway, queue_name).status());
      }
      return absl::OkStatus();   // the audit row is to stay
    }
    if (held != nullptr && before.hardware != hardware) {
      ++figures_.hardware_changes;
      RETURN_IF_ERROR(Audit(transaction, clock_.WallMs(), gateway, "hardware_changed",
                            StrCat(queue_name, " from ", before.hardware, " to ", hardware)));
    }
    const LeaseHolder holder = TakenLease(before, hardware, epochs);
    opening.lease = Lease{.gateway = gateway, .queue = queue, .token = NewId(random_)};
    RETURN_IF_ERROR(transaction
                        .Run(kTakeLease, gateway, queue_name, opening.lease.token.ToHex(), hardware,
                             lease_time_.timeline(), lease_time_.EndOf(now), now - kAuditRefusalEveryMs,
                             holder.epoch.ToHex(), holder.ordinal, LeftBehind(holder))
                        .status());
    if (!certified_shop.empty()) {
      RETURN_IF_ERROR(transaction.Run(kConfirmShop, gateway, certified_shop, clock_.WallMs()).status());
    }
    for (const Epoch& epoch : epochs) {
      ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kReadCursor, gateway, epoch.id.ToHex(), queue_name));
      Cursor& cursor = opening.cursors.emplace_back();
      cursor.epoch = epoch.id;
      if (row == nullptr) continue;
      cursor.number = static_cast<uint64_t>(row->Int(0));
      cursor.event_id = EventId::Parse(row->Text(1)).value_or(EventId{});
      ASSIGN_OR_RETURN(store::Statement * letters,
                       transaction.Query(kReadDeadLetters, gateway, epoch.id.ToHex(), queue_name,
                                         kMaxDeadLetters - opening.dead_letters.size()));
      for (;;) {
        ASSIGN_OR_RETURN(const bool more, letters->Next());
        if (!more) break;
        opening.dead_letters.push_back({.epoch = epoch.id,
                                        .number = static_cast<uint64_t>(letters->Int(0)),
                                        .reason = std::string(letters->Text(1))});
      }
    }
    opening.generation = generation_;
    claimed_[{gateway, queue}] = epochs;
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(status);
  if (!alarm.empty()) options_.alarm(alarm);
  if (!refused.ok()) {
    ++figures_.lease_refusals;
    return refused;
  }
  return opening;
}

absl::Status SqlCursorStore::CheckLease(store::Transaction& transaction, const Lease& lease) {
  const std::string queue_name(QueueName(lease.queue));
  ASSIGN_OR_RETURN(store::Statement * held, transaction.Find(kReadLease, lease.gateway, queue_name));
  if (held == nullptr || held->Text(0) != lease.token.ToHex()) {
    return absl::FailedPreconditionError("another stream of this gateway has taken the queue over");
  }
  // Expired and nobody took it: still ours.
  const std::string& timeline = lease_time_.timeline();
  const int64_t end = lease_time_.EndOf(LeaseNowMs());
  if (held->Text(2) == timeline && end - held->Int(3) < kRenewAfterMs) return absl::OkStatus();
  return transaction.Run(kExtendLease, timeline, end, lease.gateway, queue_name, lease.token.ToHex()).status();
}

absl::Status SqlCursorStore::Renew(const Lease& lease) {
  return store_.Write([&](store::Transaction& transaction) { return CheckLease(transaction, lease); });
}

void SqlCursorStore::Release(const Lease& lease) {
  // If it fails the lease expires by itself.
  store_
      .Write([&](store::Transaction& transaction) -> absl::Status {
        ASSIGN_OR_RETURN(const int64_t released,
                         transaction.Run(kReleaseLease, lease.gateway, QueueName(lease.queue), lease.token.ToHex()));
        if (released > 0) claimed_.erase({lease.gateway, lease.queue});
        return absl::OkStatus();
      })
      .IgnoreError();
}

absl::Status SqlCursorStore::ReadGeneration() {
  return store_.Write([&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kReadGeneration));
    if (row != nullptr) {
      const auto generation = Id128::Parse(row->Text(0));
      if (!generation) return absl::DataLossError("the store's generation cannot be read");
      generation_ = *generation;
      return absl::OkStatus();
    }
    generation_ = NewId(random_);
    return transaction.Run(kWriteGeneration, generation_.ToHex()).status();
  });
}

absl::StatusOr<Id128> SetNewGeneration(store::Store& store, Random& random) {
  Id128 generation;
  random.Fill(generation.bytes);
  RETURN_IF_ERROR(store.Write([&](store::Transaction& transaction) {
    return transaction.Run(kWriteGeneration, generation.ToHex()).status();
  }));
  return generation;
}

absl::Status SqlCursorStore::NewGeneration() {
  return store_.Write([&](store::Transaction& transaction) -> absl::Status {
    generation_ = NewId(random_);
    return transaction.Run(kWriteGeneration, generation_.ToHex()).status();
  });
}

}  // namespace sluice::ingest
