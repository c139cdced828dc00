// Leases, Hello and generation: the half of SqlCursorStore that opens streams.
#include "absl/strings/escaping.h"
#include "base/status.h"
#include "cloud/ingest/audit.h"
#include "cloud/ingest/sql_cursor_store.h"

namespace sluice::ingest {
namespace {

// A lease that was written less than this ago is not written again by traffic: one page less per transaction.
constexpr int64_t kRenewAfterMs = 10'000;
constexpr int64_t kAuditRefusalEveryMs = 60'000;
// A Welcome must stay far below the largest message.
constexpr size_t kMaxDeadLetters = 1'000;

constexpr store::Sql kReadLease{
    "SELECT token, hardware, expires_ms, refused_ms FROM leases WHERE gateway = ? AND queue = ?", "tt", "ttii"};
constexpr store::Sql kTakeLease{
    "INSERT INTO leases(gateway, queue, token, hardware, expires_ms) VALUES(?, ?, ?, ?, ?) "
    "ON CONFLICT(gateway, queue) DO UPDATE SET token = excluded.token, hardware = excluded.hardware, "
    "expires_ms = excluded.expires_ms",
    "tttti"};
constexpr store::Sql kExtendLease{
    "UPDATE leases SET expires_ms = ? WHERE gateway = ? AND queue = ? AND token = ?", "ittt"};
constexpr store::Sql kReleaseLease{
    "UPDATE leases SET token = '', expires_ms = 0 WHERE gateway = ? AND queue = ? AND token = ?", "ttt"};
constexpr store::Sql kNoteRefusal{"UPDATE leases SET refused_ms = ? WHERE gateway = ? AND queue = ?", "itt"};
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

Id128 NewId(Random& random) {
  Id128 id;
  random.Fill(id.bytes);
  return id;
}

}  // namespace

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
    const int64_t now = clock_.WallMs();
    ASSIGN_OR_RETURN(store::Statement * held, transaction.Find(kReadLease, gateway, queue_name));
    const bool changed = held != nullptr && held->Text(1) != hardware;
    if (changed && !held->Text(0).empty() && held->Int(2) > now) {
      refused = absl::FailedPreconditionError(
          StrCat("other hardware holds the lease for another ", (held->Int(2) - now + 999) / 1000, " s"));
      if (now - held->Int(3) >= kAuditRefusalEveryMs || now < held->Int(3)) {
        alarm = StrCat("gateway ", gateway, ": two boxes use its certificate (", queue_name, ")");
        RETURN_IF_ERROR(Audit(transaction, now, gateway, "lease_refused", StrCat(queue_name, " to ", hardware)));
        RETURN_IF_ERROR(transaction.Run(kNoteRefusal, now, gateway, queue_name).status());
      }
      return absl::OkStatus();   // the audit row is to stay
    }
    if (changed) {
      ++figures_.hardware_changes;
      RETURN_IF_ERROR(Audit(transaction, now, gateway, "hardware_changed",
                            StrCat(queue_name, " from ", held->Text(1), " to ", hardware)));
    }
    opening.lease = Lease{.gateway = gateway, .queue = queue, .token = NewId(random_)};
    RETURN_IF_ERROR(transaction
                        .Run(kTakeLease, gateway, queue_name, opening.lease.token.ToHex(), hardware,
                             now + options_.lease_ms)
                        .status());
    if (!certified_shop.empty()) {
      RETURN_IF_ERROR(transaction.Run(kConfirmShop, gateway, certified_shop, now).status());
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
  const int64_t now = clock_.WallMs();
  const int64_t expires = now + options_.lease_ms;
  if (expires - held->Int(2) < kRenewAfterMs && held->Int(2) <= expires) return absl::OkStatus();
  return transaction.Run(kExtendLease, expires, lease.gateway, queue_name, lease.token.ToHex()).status();
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

absl::Status SqlCursorStore::NewGeneration() {
  return store_.Write([&](store::Transaction& transaction) -> absl::Status {
    generation_ = NewId(random_);
    return transaction.Run(kWriteGeneration, generation_.ToHex()).status();
  });
}

}  // namespace sluice::ingest
