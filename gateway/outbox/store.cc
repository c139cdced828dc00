#include "gateway/outbox/store.h"

#include <algorithm>
#include <set>

#include "base/crc32c.h"
#include "base/fail_point.h"
#include "base/random.h"
#include "base/status.h"
#include "gateway/outbox/schema_sql.h"

namespace sluice::outbox {
namespace {

constexpr int64_t kPageBytes = 4096;
constexpr int kNumberBits = 44;
constexpr uint32_t kSealDomain = 2;
constexpr uint32_t kRejectedDomain = 3;
constexpr std::string_view kRejectedKey = "rejected";

int64_t PositionOf(int64_t stream, uint64_t last) {
  return static_cast<int64_t>(static_cast<uint64_t>(stream) << kNumberBits | std::min(last, kHighestNumber));
}

void Append(uint64_t value, std::string* out) {
  for (int i = 0; i < 8; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

// Everything that names the item; the seal is bound to it and the CRC covers it.
std::string KeyBytes(const EpochId& epoch, Queue queue, uint64_t first, uint64_t last, GapReason gap,
                     const EventId& id) {
  std::string key(epoch.View());
  key.push_back(static_cast<char>(queue));
  key.push_back(static_cast<char>(gap));
  Append(first, &key);
  Append(last, &key);
  key += id.View();
  return key;
}

uint32_t RowCrc(std::string_view key, int64_t accepted_ms, std::string_view stored) {
  std::string time;
  Append(static_cast<uint64_t>(accepted_ms), &time);
  return ExtendCrc32c(ExtendCrc32c(Crc32c(key), time), stored);
}

// Columns first, gap, sealed, id, accepted_ms, crc, bytes beginning at `column`. DataLoss: CRC or seal do not match.
absl::StatusOr<Item> DecodeRow(const sqlite::Statement& row, int column, const EpochId& epoch, Queue queue,
                               uint64_t last, const Sealer* sealer) {
  Item item;
  item.epoch = epoch;
  item.queue = queue;
  item.last = last;
  item.first = row.IsNull(column) ? last : static_cast<uint64_t>(row.Int(column));
  const int64_t gap = row.IsNull(column + 1) ? 0 : row.Int(column + 1);
  if (item.first == 0 || item.first > last || gap < 0 || gap > static_cast<int64_t>(GapReason::kBeyondReplayWindow)) {
    return absl::DataLossError("a row that makes no sense");
  }
  item.gap = static_cast<GapReason>(gap);
  if (!row.IsNull(column + 3)) {
    const auto id = Id128::FromBytes(row.Blob(column + 3));
    if (!id) return absl::DataLossError("a row with a broken id");
    item.id = *id;
  }
  item.accepted_ms = row.Int(column + 4);
  const std::string_view stored = row.Blob(column + 6);
  const std::string key = KeyBytes(epoch, queue, item.first, last, item.gap, item.id);
  if (static_cast<int64_t>(RowCrc(key, item.accepted_ms, stored)) != row.Int(column + 5)) {
    return absl::DataLossError("a row whose checksum does not match");
  }
  if (row.Int(column + 2) == 0) {
    item.bytes = stored;
    return item;
  }
  if (sealer == nullptr) return absl::FailedPreconditionError("sealed rows and no key");
  ASSIGN_OR_RETURN(item.bytes, sealer->Open(epoch, key, stored));
  return item;
}

}  // namespace

absl::Status Store::Open() {
  const absl::Status prepared = Prepare();
  if (!prepared.ok()) {
    LetGo();
    return prepared;
  }
  const std::lock_guard lock(mu_);
  open_ = true;
  return prepared;
}

void Store::Close(const std::string& read_from) {
  LetGo();
  const std::lock_guard lock(mu_);
  read_from_ = read_from;
}

absl::Status Store::Prepare() {
  ASSIGN_OR_RETURN(db_, sqlite::Database::Open(options_.path, {}));
  ASSIGN_OR_RETURN(const int64_t version, db_.QueryInt("PRAGMA user_version"));
  ASSIGN_OR_RETURN(const int64_t tables, db_.QueryInt("SELECT count(*) FROM sqlite_schema"));
  if (version != kSchemaVersion && (version != 0 || tables != 0)) {
    return absl::UnimplementedError(StrCat("outbox format version ", version));
  }
  if (tables == 0) {
    // Only before the first table; the page size of Debian's default, said aloud.
    RETURN_IF_ERROR(db_.Exec("PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL"));
  }
  // secure_delete would write zeros over every row that goes: personal rows are sealed instead.
  RETURN_IF_ERROR(
      db_.Exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=0; PRAGMA secure_delete=OFF;"
               "PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=8388608"));
  RETURN_IF_ERROR(
      db_.Exec(StrCat("PRAGMA max_page_count=", std::max<uint64_t>(options_.quota_bytes / kPageBytes, 64))));
  if (tables == 0) {
    ASSIGN_OR_RETURN(sqlite::Transaction making, sqlite::Transaction::Begin(db_));
    RETURN_IF_ERROR(db_.Exec(kSchemaSql));
    RETURN_IF_ERROR(db_.Exec(StrCat("PRAGMA user_version=", kSchemaVersion)));
    RETURN_IF_ERROR(making.Commit());
  } else {
    // A big store cannot be checked within the time of a start; what is overlooked is found row by row.
    db_.LimitTime(options_.check_ms);
    ASSIGN_OR_RETURN(sqlite::Statement check, db_.Prepare("PRAGMA quick_check(1)"));
    const absl::StatusOr<bool> row = check.Step();
    const bool bad = row.ok() && (!*row || check.Blob(0) != "ok");
    db_.LimitTime(0);
    if (bad) return absl::DataLossError(StrCat("quick check: ", check.Blob(0)));
    if (!row.ok() && !absl::IsDeadlineExceeded(row.status())) return row.status();
  }
  const auto prepare = [this](std::string_view sql, sqlite::Statement* out) -> absl::Status {
    ASSIGN_OR_RETURN(*out, db_.Prepare(sql, true));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(
      prepare("INSERT OR IGNORE INTO items (position, first, gap, sealed, id, accepted_ms, crc, bytes) VALUES "
              "(?,?,?,?,?,?,?,?)",
              &put_item_));
  RETURN_IF_ERROR(prepare("DELETE FROM items WHERE position BETWEEN ? AND ?", &delete_items_));
  RETURN_IF_ERROR(prepare(
      "INSERT OR REPLACE INTO ranges (stream, last, first, rows, bytes, gaps, stored_ms) VALUES (?,?,?,?,?,?,?)",
      &put_range_));
  RETURN_IF_ERROR(prepare("DELETE FROM ranges WHERE stream = ? AND last = ?", &delete_range_));
  return prepare("UPDATE streams SET last = ?, stored_to = ?, acked_to = ? WHERE stream = ?", &save_positions_);
}

absl::StatusOr<std::vector<std::unique_ptr<Stream>>> LoadStreams(sqlite::Database& db) {
  std::vector<std::unique_ptr<Stream>> streams;
  std::map<int64_t, Stream*> by_id;
  ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      db.Prepare("SELECT stream, epoch, queue, ordinal, gateway, shop, last, stored_to, acked_to FROM streams "
                 "ORDER BY ordinal, stream"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) break;
    const auto epoch = Id128::FromBytes(rows.Blob(1));
    const auto queue = QueueFromNumber(static_cast<int>(rows.Int(2)));
    if (!epoch || !queue) return absl::DataLossError("a stream row that makes no sense");
    auto stream = std::make_unique<Stream>(Epoch{.id = *epoch,
                                                 .ordinal = static_cast<uint64_t>(rows.Int(3)),
                                                 .gateway = std::string(rows.Blob(4)),
                                                 .shop = std::string(rows.Blob(5))},
                                           *queue);
    stream->id = rows.Int(0);
    stream->last = static_cast<uint64_t>(rows.Int(6));
    stream->stored_to = static_cast<uint64_t>(rows.Int(7));
    stream->acked_to = stream->acked_high = static_cast<uint64_t>(rows.Int(8));
    by_id[stream->id] = stream.get();
    streams.push_back(std::move(stream));
  }
  ASSIGN_OR_RETURN(
      sqlite::Statement ranges,
      db.Prepare("SELECT stream, first, last, rows, bytes, gaps, stored_ms FROM ranges ORDER BY stream, last"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, ranges.Step());
    if (!more) break;
    const auto owner = by_id.find(ranges.Int(0));
    if (owner == by_id.end()) continue;
    const auto at = [&](int column) { return static_cast<uint64_t>(ranges.Int(column)); };
    owner->second->ranges.push_back({at(1), at(2), at(3), at(4), at(5), ranges.Int(6)});
  }
  auto cuts = db.Prepare("SELECT stream, first, epoch FROM sent_as ORDER BY stream, first");
  while (cuts.ok()) {
    const absl::StatusOr<bool> more = cuts->Step();
    // Without them what another box's keys stand in the way of is found out once more; without the streams it were lost.
    if (absl::IsDataLoss(more.status())) break;
    RETURN_IF_ERROR(more.status());
    if (!*more) break;
    const auto owner = by_id.find(cuts->Int(0));
    const auto epoch = Id128::FromBytes(cuts->Blob(2));
    if (owner == by_id.end() || !epoch || cuts->Int(1) < 1) continue;
    owner->second->sent_as.Cut(static_cast<uint64_t>(cuts->Int(1)), *epoch);
  }
  return streams;
}

absl::Status Store::Begin() {
  if (!is_open()) return absl::ResourceExhaustedError("there is no database to write to yet");
  ASSIGN_OR_RETURN(sqlite::Transaction transaction, sqlite::Transaction::Begin(db_));
  transaction_ = std::make_unique<sqlite::Transaction>(std::move(transaction));
  return absl::OkStatus();
}

absl::Status Store::Commit() {
  FAIL_POINT("outbox.before_commit");
  RETURN_IF_ERROR(transaction_->Commit());
  transaction_.reset();
  FAIL_POINT("outbox.committed");
  return absl::OkStatus();
}

void Store::Rollback() {
  for (sqlite::Statement* statement : {&put_item_, &delete_items_, &put_range_, &delete_range_, &save_positions_}) {
    statement->Reset();
  }
  transaction_.reset();
}

void Store::LetGo() {
  Rollback();
  for (sqlite::Statement* statement : {&put_item_, &delete_items_, &put_range_, &delete_range_, &save_positions_}) {
    *statement = sqlite::Statement();
  }
  db_.Close();
  const std::lock_guard lock(mu_);
  open_ = false;
}

absl::Status Store::AddStream(Stream& stream) {
  std::set<int64_t> taken;
  {
    ASSIGN_OR_RETURN(sqlite::Statement rows, db_.Prepare("SELECT stream FROM streams"));
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, rows.Step());
      if (!more) break;
      taken.insert(rows.Int(0));
    }
  }
  int64_t id = 1;
  while (taken.contains(id)) ++id;
  ASSIGN_OR_RETURN(
      sqlite::Statement insert,
      db_.Prepare("INSERT INTO streams (stream, epoch, queue, ordinal, gateway, shop, last, stored_to, acked_to) "
                  "VALUES (?,?,?,?,?,?,?,?,?)"));
  insert.Bind(1, id).BindBlob(2, stream.epoch.id.View()).Bind(3, static_cast<int64_t>(stream.queue));
  insert.Bind(4, static_cast<int64_t>(stream.epoch.ordinal))
      .BindText(5, stream.epoch.gateway)
      .BindText(6, stream.epoch.shop);
  insert.Bind(7, static_cast<int64_t>(stream.last)).Bind(8, static_cast<int64_t>(stream.stored_to));
  insert.Bind(9, static_cast<int64_t>(stream.acked_to));
  RETURN_IF_ERROR(insert.Run());
  stream.id = id;
  return stream.sent_as.parts().size() > 1 || stream.sent_as.parts().front().epoch != stream.epoch.id
             ? PutSentAs(stream, stream.sent_as)
             : absl::OkStatus();
}

absl::Status Store::PutSentAs(const Stream& stream, const SentAs& sent_as) {
  RETURN_IF_ERROR(db_.Exec(StrCat("DELETE FROM sent_as WHERE stream = ", stream.id)));
  ASSIGN_OR_RETURN(sqlite::Statement put, db_.Prepare("INSERT INTO sent_as (stream, first, epoch) VALUES (?,?,?)"));
  for (const SentPart& part : sent_as.parts()) {
    if (part.epoch == stream.epoch.id) continue;
    put.Bind(1, stream.id).Bind(2, static_cast<int64_t>(part.first)).BindBlob(3, part.epoch.View());
    RETURN_IF_ERROR(put.Run());
  }
  return absl::OkStatus();
}

absl::Status Store::RemoveStream(int64_t stream) {
  RETURN_IF_ERROR(DeleteItems(stream, 0, kHighestNumber));
  RETURN_IF_ERROR(db_.Exec(StrCat("DELETE FROM ranges WHERE stream = ", stream)));
  RETURN_IF_ERROR(db_.Exec(StrCat("DELETE FROM times WHERE stream = ", stream)));
  RETURN_IF_ERROR(db_.Exec(StrCat("DELETE FROM sent_as WHERE stream = ", stream)));
  return db_.Exec(StrCat("DELETE FROM streams WHERE stream = ", stream));
}

absl::Status Store::SavePositions(int64_t stream, uint64_t last, uint64_t stored_to, uint64_t acked_to) {
  save_positions_.Bind(1, static_cast<int64_t>(last)).Bind(2, static_cast<int64_t>(stored_to));
  save_positions_.Bind(3, static_cast<int64_t>(acked_to)).Bind(4, stream);
  return save_positions_.Run();
}

absl::StatusOr<bool> Store::PutItem(const Stream& stream, const Item& item) {
  if (item.last > kHighestNumber) return absl::OutOfRangeError("a number above 2^44");
  const std::string key = KeyBytes(stream.epoch.id, stream.queue, item.first, item.last, item.gap, item.id);
  const bool seal = sealer_ != nullptr && IsPersonal(stream.queue) && !item.IsGap();
  std::string sealed;
  if (seal && !sealer_->may_seal()) return absl::ResourceExhaustedError("the seal key could not be kept yet");
  // The number never comes twice with other bytes, so that it can be the counter.
  if (seal) sealed = sealer_->Seal(stream.epoch.id, kSealDomain, item.last, key, item.bytes);
  const std::string_view stored = seal ? std::string_view(sealed) : std::string_view(item.bytes);
  put_item_.Bind(1, PositionOf(stream.id, item.last));
  if (item.IsGap()) {
    put_item_.Bind(2, static_cast<int64_t>(item.first)).Bind(3, static_cast<int64_t>(item.gap));
  } else {
    put_item_.BindBlob(5, item.id.View()).Bind(6, item.accepted_ms).BindBlob(8, stored);
    if (seal) put_item_.Bind(4, 1);
  }
  put_item_.Bind(7, RowCrc(key, item.IsGap() ? 0 : item.accepted_ms, item.IsGap() ? std::string_view() : stored));
  RETURN_IF_ERROR(put_item_.Run());
  return db_.Changes() > 0;
}

absl::Status Store::DeleteItems(int64_t stream, uint64_t first, uint64_t last) {
  delete_items_.Bind(1, PositionOf(stream, first)).Bind(2, PositionOf(stream, last));
  return delete_items_.Run();
}

absl::Status Store::PutRange(int64_t stream, const StoredRange& range) {
  put_range_.Bind(1, stream).Bind(2, static_cast<int64_t>(range.last)).Bind(3, static_cast<int64_t>(range.first));
  put_range_.Bind(4, static_cast<int64_t>(range.rows)).Bind(5, static_cast<int64_t>(range.bytes));
  put_range_.Bind(6, static_cast<int64_t>(range.gaps)).Bind(7, range.stored_ms);
  return put_range_.Run();
}

absl::Status Store::DeleteRange(int64_t stream, uint64_t last) {
  delete_range_.Bind(1, stream).Bind(2, static_cast<int64_t>(last));
  return delete_range_.Run();
}

absl::Status Store::PutSnapshots(const std::map<std::string, std::string>& rows) {
  if (rows.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(sqlite::Statement put, db_.Prepare("INSERT OR REPLACE INTO snapshots (key, value) VALUES (?,?)"));
  ASSIGN_OR_RETURN(sqlite::Statement erase, db_.Prepare("DELETE FROM snapshots WHERE key = ?"));
  for (const auto& [key, value] : rows) {
    sqlite::Statement& statement = value.empty() ? erase : put;
    statement.BindBlob(1, key);
    if (!value.empty()) statement.BindBlob(2, value);
    RETURN_IF_ERROR(statement.Run());
  }
  return absl::OkStatus();
}

absl::Status Store::PutRejected(const std::vector<std::string>& rows, size_t keep) {
  if (rows.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(sqlite::Statement put, db_.Prepare("INSERT INTO rejected (row) VALUES (?)"));
  if (rejected_key_.IsZero() && sealer_ != nullptr) SystemRandom().Fill(rejected_key_.bytes);
  for (const std::string& row : rows) {
    std::string stored(rejected_key_.View());
    stored += sealer_ == nullptr ? row : sealer_->Seal(rejected_key_, kRejectedDomain, rejected_counter_++, kRejectedKey, row);
    put.BindBlob(1, stored);
    RETURN_IF_ERROR(put.Run());
  }
  return db_.Exec(StrCat("DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - ", keep));
}

absl::Status Store::PutTimes(const std::vector<TimeRow>& rows, size_t keep) {
  if (rows.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(sqlite::Statement put,
                   db_.Prepare("INSERT INTO times (stream, kind, first, last, at_ms) VALUES (?,?,?,?,?)"));
  for (const TimeRow& row : rows) {
    put.Bind(1, row.stream).Bind(2, row.kind).Bind(3, static_cast<int64_t>(row.first));
    put.Bind(4, static_cast<int64_t>(row.last)).Bind(5, row.at_ms);
    RETURN_IF_ERROR(put.Run());
  }
  return db_.Exec(StrCat("DELETE FROM times WHERE id <= (SELECT max(id) FROM times) - ", keep));
}

absl::StatusOr<uint64_t> Store::UsedBytes() {
  if (!is_open()) return absl::ResourceExhaustedError("there is no database to write to yet");
  ASSIGN_OR_RETURN(const int64_t pages, db_.QueryInt("PRAGMA page_count"));
  ASSIGN_OR_RETURN(const int64_t free, db_.QueryInt("PRAGMA freelist_count"));
  return static_cast<uint64_t>(pages - free) * kPageBytes;
}

absl::Status Store::GiveBackPages(int pages) { return db_.Exec(StrCat("PRAGMA incremental_vacuum(", pages, ")")); }

absl::StatusOr<sqlite::Database> Store::Reader() const {
  std::unique_lock lock(mu_);
  const std::string instead = read_from_;
  const bool open = open_;
  lock.unlock();
  if (!open) return instead.empty() ? absl::NotFoundError("there is no database yet") : OpenForReading(instead);
  ASSIGN_OR_RETURN(sqlite::Database db, sqlite::Database::Open(options_.path, {.create = false}));
  RETURN_IF_ERROR(db.Exec("PRAGMA query_only=1; PRAGMA mmap_size=0; PRAGMA cache_size=-256"));
  return db;
}

absl::Status LoadItems(sqlite::Database& db, const Stream& stream, uint64_t from, uint64_t through,
                       const Sealer* sealer, const std::function<bool(Item)>& visitor, uint64_t* bad,
                       uint64_t* reached) {
  ASSIGN_OR_RETURN(sqlite::Statement rows,
                   db.Prepare("SELECT position, first, gap, sealed, id, accepted_ms, crc, bytes FROM items "
                              "WHERE position BETWEEN ? AND ? ORDER BY position"));
  rows.Bind(1, PositionOf(stream.id, from)).Bind(2, PositionOf(stream.id, through));
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return absl::OkStatus();
    const uint64_t last = static_cast<uint64_t>(rows.Int(0)) & kHighestNumber;
    if (reached != nullptr) *reached = last;
    absl::StatusOr<Item> item = DecodeRow(rows, 1, stream.epoch.id, stream.queue, last, sealer);
    if (!item.ok()) {
      if (bad != nullptr) ++*bad;
      continue;
    }
    if (!visitor(*std::move(item))) return absl::OkStatus();
  }
}

absl::Status Store::ReadItems(const Stream& stream, uint64_t from, uint64_t through,
                              const std::function<bool(Item)>& visitor, uint64_t* bad) const {
  absl::StatusOr<sqlite::Database> db = Reader();
  if (absl::IsNotFound(db.status())) return absl::OkStatus();
  RETURN_IF_ERROR(db.status());
  return LoadItems(*db, stream, from, through, sealer_, visitor, bad, nullptr);
}

absl::StatusOr<std::map<std::string, std::string>> LoadSnapshots(sqlite::Database& db) {
  ASSIGN_OR_RETURN(sqlite::Statement rows, db.Prepare("SELECT key, value FROM snapshots"));
  std::map<std::string, std::string> out;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return out;
    out[std::string(rows.Blob(0))] = rows.Blob(1);
  }
}

absl::StatusOr<std::map<std::string, std::string>> Store::ReadSnapshots() const {
  ASSIGN_OR_RETURN(sqlite::Database db, Reader());
  return LoadSnapshots(db);
}

absl::StatusOr<std::vector<std::string>> Store::ReadRejected(size_t newest) const {
  ASSIGN_OR_RETURN(sqlite::Database db, Reader());
  ASSIGN_OR_RETURN(sqlite::Statement rows, db.Prepare("SELECT row FROM rejected ORDER BY id DESC LIMIT ?"));
  rows.Bind(1, static_cast<int64_t>(newest));
  std::vector<std::string> out;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return out;
    const std::string_view stored = rows.Blob(0);
    const auto key = Id128::FromBytes(stored.substr(0, 16));
    if (!key) continue;
    if (key->IsZero()) {
      out.emplace_back(stored.substr(16));
    } else if (sealer_ != nullptr) {
      // A row that does not open is for nobody's eyes; it was only kept for people.
      if (auto row = sealer_->Open(*key, kRejectedKey, stored.substr(16)); row.ok()) out.push_back(*std::move(row));
    }
  }
}

absl::StatusOr<std::vector<TimeRow>> Store::ReadTimes() const {
  ASSIGN_OR_RETURN(sqlite::Database db, Reader());
  ASSIGN_OR_RETURN(sqlite::Statement rows,
                   db.Prepare("SELECT stream, kind, first, last, at_ms FROM times ORDER BY id"));
  std::vector<TimeRow> out;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return out;
    out.push_back({rows.Int(0), static_cast<int>(rows.Int(1)), static_cast<uint64_t>(rows.Int(2)),
                   static_cast<uint64_t>(rows.Int(3)), rows.Int(4)});
  }
}

}  // namespace sluice::outbox
