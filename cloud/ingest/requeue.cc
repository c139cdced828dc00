// What operators do with dead letters: the part of SqlCursorStore that applies or lets go of them.
#include "base/status.h"
#include "cloud/ingest/audit.h"
#include "cloud/ingest/sql_cursor_store.h"

namespace sluice::ingest {
namespace {

constexpr store::Sql kReadEpoch{"SELECT ordinal, shop FROM epochs WHERE gateway = ? AND epoch = ?", "tt", "it"};
constexpr store::Sql kDelete{
    "DELETE FROM dead_letters WHERE gateway = ? AND queue = ? AND epoch = ? AND number = ?", "ttti"};
constexpr store::Sql kNewReason{
    "UPDATE dead_letters SET reason = ? WHERE gateway = ? AND queue = ? AND epoch = ? AND number = ?", "tttti"};

absl::Status Remove(store::Transaction& transaction, const DeadLetterKey& key) {
  return transaction.Run(kDelete, key.gateway, QueueName(key.queue), key.epoch.ToHex(), key.number).status();
}

absl::Status Refuse(store::Transaction& transaction, const DeadLetterKey& key, std::string_view who,
                    const std::string& reason, int64_t now_ms) {
  RETURN_IF_ERROR(
      transaction.Run(kNewReason, reason, key.gateway, QueueName(key.queue), key.epoch.ToHex(), key.number).status());
  return Audit(transaction, now_ms, key.gateway, "dead_letter_refused", StrCat(who, ": ", key.ToId(), ": ", reason));
}

}  // namespace

absl::StatusOr<Requeued> SqlCursorStore::Requeue(const DeadLetterKey& key, std::string_view who) {
  Requeued requeued;
  Attempt attempt;
  {
    std::lock_guard lock(applier_mutex_);
    attempt.status = store_.Write([&](store::Transaction& transaction) {
      return RequeueOne(transaction, key, who, attempt, requeued);
    });
    attempt.status.ok() ? applier_.Committed() : applier_.Discard();
  }
  if (attempt.status.ok()) {
    Count(attempt);
    return requeued;
  }
  if (attempt.failed == SIZE_MAX || !MayBePoison(attempt.status) || !Probe()) return attempt.status;
  // The store is well, the record breaks its own transaction: as in Apply a verdict, but not after several tries, for an
  // operator can try again.
  requeued = {Requeued::Outcome::kRefused, StrCat("unprocessable: ", MessageOf(attempt.status))};
  RETURN_IF_ERROR(store_.Write([&](store::Transaction& transaction) {
    return Refuse(transaction, key, who, requeued.reason, clock_.WallMs());
  }));
  return requeued;
}

absl::Status SqlCursorStore::RequeueOne(store::Transaction& transaction, const DeadLetterKey& key, std::string_view who,
                                        Attempt& attempt, Requeued& requeued) {
  ASSIGN_OR_RETURN(BuriedRecord record, FindDeadLetter(transaction, key));
  Origin origin{.gateway = key.gateway, .shop = record.shop, .queue = key.queue, .number = key.number};
  origin.epoch = {.id = key.epoch, .gateway = key.gateway, .shop = record.shop};
  // Whatever was buried brought its epoch with it.
  ASSIGN_OR_RETURN(store::Statement * epoch, transaction.Find(kReadEpoch, key.gateway, key.epoch.ToHex()));
  if (epoch == nullptr) return absl::DataLossError("the epoch of the dead letter is not known any more");
  origin.epoch.ordinal = static_cast<uint64_t>(epoch->Int(0));
  ASSIGN_OR_RETURN(const bool confirmed, IsConfirmed(transaction, origin));

  Item item;
  item.epoch = key.epoch;
  item.queue = key.queue;
  item.first = item.last = key.number;
  item.bytes = std::move(record.bytes);
  EventId id;
  attempt.failed = 0;
  ASSIGN_OR_RETURN(requeued.reason, TakeEffect(transaction, origin, item, confirmed, id, attempt));
  RETURN_IF_ERROR(applier_.Flush(transaction, events_));
  attempt.failed = SIZE_MAX;
  const int64_t now = clock_.WallMs();
  if (!requeued.reason.empty()) {
    requeued.outcome = Requeued::Outcome::kRefused;
    return Refuse(transaction, key, who, requeued.reason, now);
  }
  requeued.outcome = attempt.kept > 0 ? Requeued::Outcome::kKept : Requeued::Outcome::kApplied;
  RETURN_IF_ERROR(Remove(transaction, key));
  return Audit(transaction, now, key.gateway, "dead_letter_requeued",
               StrCat(who, ": ", key.ToId(), ": event ", id.ToUuid(), ", was: ", record.reason));
}

absl::Status SqlCursorStore::Drop(const DeadLetterKey& key, std::string_view who, std::string_view why) {
  return store_.Write([&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(const BuriedRecord record, FindDeadLetter(transaction, key));
    event::v1::DeviceEvent event;
    const bool decodes = event.ParseFromString(record.bytes);
    const EventId id = decodes ? EventId::FromBytes(event.event_id()).value_or(EventId{}) : EventId{};
    RETURN_IF_ERROR(Remove(transaction, key));
    return Audit(transaction, clock_.WallMs(), key.gateway, "dead_letter_dropped",
                 StrCat(who, ": ", key.ToId(), ": ", why, " (", record.bytes.size(), " bytes, event ",
                        id.IsZero() ? std::string("unknown") : id.ToUuid(), ", was: ", record.reason, ")"));
  });
}

}  // namespace sluice::ingest
