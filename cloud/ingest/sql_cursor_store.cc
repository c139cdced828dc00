#include "cloud/ingest/sql_cursor_store.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "cloud/ingest/audit.h"
#include "cloud/ingest/effect.h"
#include "cloud/ingest/examine.h"
#include "cloud/ingest/plan.h"

namespace sluice::ingest {
namespace {

// R8: a record that fails alone this often while a probe write succeeds is dead-lettered.
constexpr int kAloneTries = 5;

constexpr store::Sql kReadCursor{"SELECT number, event_id FROM cursors WHERE gateway = ? AND epoch = ? AND queue = ?",
                                 "ttt", "it"};
constexpr store::Sql kWriteCursor{
    "INSERT INTO cursors(gateway, epoch, queue, number, event_id, updated_ms) VALUES(?, ?, ?, ?, ?, ?) "
    "ON CONFLICT(gateway, epoch, queue) DO UPDATE SET number = excluded.number, event_id = excluded.event_id, "
    "updated_ms = excluded.updated_ms",
    "tttiti"};
constexpr store::Sql kReadEpoch{"SELECT ordinal, shop FROM epochs WHERE gateway = ? AND epoch = ?", "tt", "it"};
constexpr store::Sql kInsertEpoch{
    "INSERT INTO epochs(gateway, epoch, ordinal, shop, first_seen_ms) VALUES(?, ?, ?, ?, ?)", "ttiti"};
constexpr store::Sql kShopConfirmed{"SELECT 1 FROM gateway_shops WHERE gateway = ? AND shop = ?", "tt", "i"};
constexpr store::Sql kInsertLoss{
    "INSERT INTO losses(gateway, epoch, queue, first, last, reason, at_ms) VALUES(?, ?, ?, ?, ?, ?, ?)", "tttiiti"};
constexpr store::Sql kInsertDeadLetter{
    "INSERT INTO dead_letters(gateway, epoch, queue, number, reason, bytes, at_ms) VALUES(?, ?, ?, ?, ?, ?, ?)",
    "tttitbi"};
constexpr store::Sql kKeep{
    "INSERT INTO kept_records(gateway, shop, epoch, queue, number, bytes, at_ms) VALUES(?, ?, ?, ?, ?, ?, ?)",
    "ttttibi"};
constexpr store::Sql kReadKept{
    "SELECT id, gateway, shop, epoch, queue, number, bytes FROM kept_records WHERE id > ? ORDER BY id LIMIT 100", "i",
    "itttt" "ib"};
constexpr store::Sql kDeleteKept{"DELETE FROM kept_records WHERE id = ?", "i"};
constexpr store::Sql kInsertClockFix{
    "INSERT INTO clock_fixes(gateway, boot_id, queue, offset_ms, quality, epoch, number) VALUES(?, ?, ?, ?, ?, ?, ?)",
    "tttiiti"};
constexpr store::Sql kProbe{"UPDATE store_generation SET generation = generation", ""};

// The business said that the record can never be accepted; anything else is the store's failure.
bool IsVerdict(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status) || absl::IsAlreadyExists(status);
}

}  // namespace

bool SqlCursorStore::MayBePoison(const absl::Status& status) {
  return absl::IsInternal(status) || absl::IsUnknown(status) || absl::IsUnimplemented(status);
}

store::Component Schema() {
  return {"ingest",
          {
#include "ingest/schema.inc"
          }};
}

SqlCursorStore::SqlCursorStore(CursorStoreOptions options, store::Store& store, Applier& applier,
                               eventbus::Writer& events, const Clock& clock, Random& random)
    : options_(std::move(options)),
      store_(store),
      applier_(applier),
      events_(events),
      clock_(clock),
      random_(random),
      lease_time_(NewId(random).ToHex(), LeaseNowMs(), options_.lease_ms) {}

absl::StatusOr<std::unique_ptr<SqlCursorStore>> SqlCursorStore::Open(CursorStoreOptions options, store::Store& store,
                                                                     Applier& applier, eventbus::Writer& events,
                                                                     const Clock& clock, Random& random) {
  std::unique_ptr<SqlCursorStore> opened(
      new SqlCursorStore(std::move(options), store, applier, events, clock, random));
  RETURN_IF_ERROR(opened->ReadGeneration());
  RETURN_IF_ERROR(WithContext(opened->ApplyKept(), "records kept for this version"));
  return opened;
}

absl::StatusOr<Applied> SqlCursorStore::Apply(const Lease& lease, const EpochId& epoch,
                                              const std::vector<Item>& items) {
  Applied applied;
  std::span<const Item> rest(items);
  const auto take = [&](Attempt& attempt) {
    Count(attempt);
    applied.cursor = attempt.cursor;
    std::move(attempt.dead_letters.begin(), attempt.dead_letters.end(), std::back_inserter(applied.dead_letters));
  };
  for (;;) {
    Attempt attempt = TryApply(lease, epoch, rest, nullptr);
    if (attempt.status.ok()) {
      take(attempt);
      return applied;
    }
    if (attempt.failed == SIZE_MAX || !MayBePoison(attempt.status)) return attempt.status;

    // What stands before it first, then the suspect alone.
    const size_t suspect = attempt.failed;
    if (suspect > 0) {
      attempt = TryApply(lease, epoch, rest.first(suspect), nullptr);
      if (!attempt.status.ok()) return attempt.status;
      take(attempt);
    }
    const std::span<const Item> alone = rest.subspan(suspect, 1);
    for (int i = 0; i < kAloneTries; ++i) {
      attempt = TryApply(lease, epoch, alone, nullptr);
      if (attempt.status.ok()) break;
      if (!MayBePoison(attempt.status) || !Probe()) return attempt.status;
    }
    if (!attempt.status.ok()) {
      const std::string verdict = StrCat("unprocessable: ", MessageOf(attempt.status));
      attempt = TryApply(lease, epoch, alone, &verdict);
      if (!attempt.status.ok()) return attempt.status;
    }
    take(attempt);
    rest = rest.subspan(suspect + 1);
    if (rest.empty()) return applied;
  }
}

SqlCursorStore::Attempt SqlCursorStore::TryApply(const Lease& lease, const EpochId& epoch, std::span<const Item> items,
                                                 const std::string* verdict) {
  Attempt attempt;
  std::lock_guard lock(applier_mutex_);
  attempt.status = store_.Write([&](store::Transaction& transaction) {
    return ApplyItems(transaction, lease, epoch, items, verdict, attempt);
  });
  // Here, for the commit itself may have failed.
  attempt.status.ok() ? applier_.Committed() : applier_.Discard();
  return attempt;
}

absl::Status SqlCursorStore::ApplyItems(store::Transaction& transaction, const Lease& lease, const EpochId& epoch,
                                        std::span<const Item> items, const std::string* verdict, Attempt& attempt) {
  RETURN_IF_ERROR(CheckLease(transaction, lease));
  const std::string queue_name(QueueName(lease.queue));
  const std::string epoch_name = epoch.ToHex();
  ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kReadCursor, lease.gateway, epoch_name, queue_name));
  const uint64_t cursor = row == nullptr ? 0 : static_cast<uint64_t>(row->Int(0));
  const Plan plan = PlanBatch(cursor, items);
  if (plan.expected != 0) return absl::OutOfRangeError(StrCat("expected ", plan.expected));
  attempt.cursor = plan.cursor;
  attempt.skipped = plan.skip;
  if (plan.accept == 0) return absl::OkStatus();

  ASSIGN_OR_RETURN(Origin origin, FindOrigin(transaction, lease, epoch));
  ASSIGN_OR_RETURN(const bool confirmed, IsConfirmed(transaction, origin));
  const int64_t now = clock_.WallMs();
  EventId id;
  uint64_t lost_to = cursor;
  for (size_t i = plan.skip; i < plan.skip + plan.accept; ++i) {
    const Item& item = items[i];
    id = EventId{};
    if (item.IsGap()) {
      // Only what lies above the cursor is lost now.
      const uint64_t first = std::max(item.first, lost_to + 1);
      RETURN_IF_ERROR(transaction
                          .Run(kInsertLoss, lease.gateway, epoch_name, queue_name, first, item.last,
                               GapReasonName(item.gap), now)
                          .status());
      ++attempt.gaps;
    } else {
      origin.number = item.first;
      absl::Status status;
      if (verdict == nullptr) {
        status = ApplyRecord(transaction, origin, item, confirmed, id, attempt);
      } else {
        // A dead letter at the cursor is no gap: the gateway looks for its event there.
        if (event_.ParseFromString(item.bytes)) id = EventId::FromBytes(event_.event_id()).value_or(EventId{});
        status = Bury(transaction, origin, item, *verdict, attempt);
      }
      if (!status.ok()) {
        attempt.failed = i;
        return status;
      }
    }
    lost_to = item.last;
  }
  RETURN_IF_ERROR(applier_.Flush(transaction, events_));
  return transaction
      .Run(kWriteCursor, lease.gateway, epoch_name, queue_name, plan.cursor, id.IsZero() ? std::string() : id.ToHex(),
           now)
      .status();
}

absl::Status SqlCursorStore::ApplyRecord(store::Transaction& transaction, const Origin& origin, const Item& item,
                                         bool shop_confirmed, EventId& id, Attempt& attempt) {
  ASSIGN_OR_RETURN(std::string refusal, TakeEffect(transaction, origin, item, shop_confirmed, id, attempt));
  return refusal.empty() ? absl::OkStatus() : Bury(transaction, origin, item, std::move(refusal), attempt);
}

absl::StatusOr<std::string> SqlCursorStore::TakeEffect(store::Transaction& transaction, const Origin& origin,
                                                       const Item& item, bool shop_confirmed, EventId& id,
                                                       Attempt& attempt) {
  const event::v1::DeviceEvent& event = event_;
  const Examined examined = Examine(item.bytes, origin, event_);
  id = EventId::FromBytes(event.event_id()).value_or(EventId{});
  if (examined.finding == Finding::kForeign) {
    ++attempt.foreign;
    RETURN_IF_ERROR(Audit(transaction, clock_.WallMs(), origin.gateway, "foreign",
                          StrCat(QueueName(origin.queue), " ", origin.number, ": ", examined.reason)));
    return examined.reason;
  }
  if (examined.finding == Finding::kDead) return examined.reason;
  if (!shop_confirmed) return "shop_unknown";
  if (examined.finding == Finding::kKeep) {
    ++attempt.kept;
    RETURN_IF_ERROR(transaction
                        .Run(kKeep, origin.gateway, origin.shop, origin.epoch.id.ToHex(), QueueName(origin.queue),
                             origin.number, store::Bytes{item.bytes}, clock_.WallMs())
                        .status());
    return "";
  }
  if (event.has_clock_fix()) {
    ++attempt.applied;
    const auto& fix = event.clock_fix();
    RETURN_IF_ERROR(transaction
                        .Run(kInsertClockFix, origin.gateway, Id128::FromBytes(fix.boot_id())->ToHex(),
                             QueueName(origin.queue), fix.offset_ms(), static_cast<int>(fix.quality()),
                             origin.epoch.id.ToHex(), origin.number)
                        .status());
    return "";
  }
  const absl::Status status = applier_.Apply(transaction, origin, event, events_);
  if (status.ok()) {
    ++attempt.applied;
    return "";
  }
  if (!IsVerdict(status)) return status;
  if (absl::IsAlreadyExists(status)) ++attempt.conflicts;
  // An empty one would say that it took effect.
  return status.message().empty() ? std::string("refused") : std::string(MessageOf(status));
}

absl::Status SqlCursorStore::Bury(store::Transaction& transaction, const Origin& origin, const Item& item,
                                  std::string reason, Attempt& attempt) {
  RETURN_IF_ERROR(transaction
                      .Run(kInsertDeadLetter, origin.gateway, origin.epoch.id.ToHex(), QueueName(origin.queue),
                           origin.number, reason, store::Bytes{item.bytes}, clock_.WallMs())
                      .status());
  attempt.dead_letters.push_back({.epoch = origin.epoch.id, .number = origin.number, .reason = std::move(reason)});
  return absl::OkStatus();
}

absl::StatusOr<Origin> SqlCursorStore::FindOrigin(store::Transaction& transaction, const Lease& lease,
                                                  const EpochId& epoch) {
  Origin origin;
  origin.gateway = lease.gateway;
  origin.queue = lease.queue;
  origin.epoch.id = epoch;
  origin.epoch.gateway = lease.gateway;
  ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kReadEpoch, lease.gateway, epoch.ToHex()));
  if (row != nullptr) {
    origin.epoch.ordinal = static_cast<uint64_t>(row->Int(0));
    origin.epoch.shop = origin.shop = row->Text(1);
    return origin;
  }
  const auto claimed = claimed_.find({lease.gateway, lease.queue});
  if (claimed == claimed_.end()) return absl::FailedPreconditionError("no stream of this gateway is open");
  const auto found = std::find_if(claimed->second.begin(), claimed->second.end(),
                                  [&](const Epoch& candidate) { return candidate.id == epoch; });
  if (found == claimed->second.end()) return absl::OutOfRangeError("an epoch that Hello did not name");
  origin.epoch = *found;
  origin.shop = found->shop;
  RETURN_IF_ERROR(
      transaction.Run(kInsertEpoch, lease.gateway, epoch.ToHex(), found->ordinal, found->shop, clock_.WallMs())
          .status());
  return origin;
}

absl::StatusOr<bool> SqlCursorStore::IsConfirmed(store::Transaction& transaction, const Origin& origin) {
  ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kShopConfirmed, origin.gateway, origin.shop));
  return row != nullptr;
}

absl::Status SqlCursorStore::ApplyKept() {
  int64_t after = 0;
  for (bool more = true; more;) {
    Attempt attempt;
    std::lock_guard lock(applier_mutex_);
    attempt.status = store_.Write([&](store::Transaction& transaction) -> absl::Status {
      struct Kept {
        int64_t id;
        Origin origin;
        Item item;
      };
      std::vector<Kept> page;
      ASSIGN_OR_RETURN(store::Statement * rows, transaction.Query(kReadKept, after));
      for (;;) {
        ASSIGN_OR_RETURN(more, rows->Next());
        if (!more) break;
        Kept& kept = page.emplace_back();
        kept.id = rows->Int(0);
        kept.origin.gateway = rows->Text(1);
        kept.origin.shop = rows->Text(2);
        kept.origin.epoch = {.id = EpochId::Parse(rows->Text(3)).value_or(EpochId{}),
                             .gateway = kept.origin.gateway, .shop = kept.origin.shop};
        kept.origin.queue = QueueFromName(rows->Text(4)).value_or(Queue::kShopBulk);
        kept.origin.number = static_cast<uint64_t>(rows->Int(5));
        kept.item.bytes = rows->Text(6);
      }
      for (const Kept& kept : page) {
        after = kept.id;
        if (Examine(kept.item.bytes, kept.origin, event_).finding == Finding::kKeep) continue;
        EventId id;
        RETURN_IF_ERROR(ApplyRecord(transaction, kept.origin, kept.item, true, id, attempt));
        RETURN_IF_ERROR(transaction.Run(kDeleteKept, kept.id).status());
      }
      more = !page.empty();
      return applier_.Flush(transaction, events_);
    });
    attempt.status.ok() ? applier_.Committed() : applier_.Discard();
    if (!attempt.status.ok()) return attempt.status;
    Count(attempt);
  }
  return absl::OkStatus();
}

void SqlCursorStore::Count(const Attempt& attempt) {
  ++figures_.transactions;
  figures_.applied += attempt.applied;
  figures_.skipped += attempt.skipped;
  figures_.gaps += attempt.gaps;
  figures_.kept += attempt.kept;
  figures_.dead_letters += attempt.dead_letters.size();
  figures_.conflicts += attempt.conflicts;
  figures_.foreign += attempt.foreign;
  if (!attempt.dead_letters.empty()) {
    const DeadLetter& first = attempt.dead_letters.front();
    options_.alarm(StrCat(attempt.dead_letters.size(), " dead letter(s), the first: ", first.epoch.ToHex(), " ",
                          first.number, ": ", first.reason));
  }
}

bool SqlCursorStore::Probe() {
  return store_.Write([](store::Transaction& transaction) { return transaction.Run(kProbe).status(); }).ok();
}

}  // namespace sluice::ingest
