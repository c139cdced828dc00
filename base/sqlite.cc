#include "base/sqlite.h"

#include <sqlite3.h>

#include "base/clock.h"
#include "base/status.h"

namespace sluice::sqlite {

absl::Status StatusOf(sqlite3* db, int code, std::string_view what) {
  const int primary = code & 0xFF;
  if (primary == SQLITE_OK || primary == SQLITE_ROW || primary == SQLITE_DONE) return absl::OkStatus();
  const std::string text =
      StrCat(what, ": ", std::string_view(db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code)), " (sqlite ",
             sqlite3_extended_errcode(db), ")");
  switch (primary) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(text);
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(text);
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(text);
    case SQLITE_INTERRUPT:
      return absl::DeadlineExceededError(text);
    default:
      return absl::InternalError(text);
  }
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::Bind(int at, int64_t value) {
  sqlite3_bind_int64(statement_.get(), at, value);
  return *this;
}
Statement& Statement::BindBlob(int at, std::string_view value) {
  // A null pointer would bind NULL.
  sqlite3_bind_blob(statement_.get(), at, value.data() == nullptr ? "" : value.data(), static_cast<int>(value.size()),
                    SQLITE_STATIC);
  return *this;
}
Statement& Statement::BindText(int at, std::string_view value) {
  sqlite3_bind_text(statement_.get(), at, value.data() == nullptr ? "" : value.data(), static_cast<int>(value.size()),
                    SQLITE_STATIC);
  return *this;
}
Statement& Statement::BindNull(int at) {
  sqlite3_bind_null(statement_.get(), at);
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return StatusOf(sqlite3_db_handle(statement_.get()), code, sqlite3_sql(statement_.get()));
}

absl::Status Statement::Run() {
  absl::StatusOr<bool> row = true;
  while (row.ok() && *row) row = Step();
  Reset();
  return row.status();
}

void Statement::Reset() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }
std::string_view Statement::Blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  return {static_cast<const char*>(data), static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}
bool Statement::IsNull(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }

void Database::CloseDatabase::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

absl::StatusOr<Database> Database::Open(const std::string& path, const Options& options) {
  std::string uri = "file:";
  for (char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      constexpr char kHex[] = "0123456789ABCDEF";
      uri += {'%', kHex[(c >> 4) & 15], kHex[c & 15]};
    } else {
      uri += c;
    }
  }
  uri += options.immutable ? "?psow=0&immutable=1" : "?psow=0";
  int flags = SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
  flags |= options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (options.create && !options.read_only) flags |= SQLITE_OPEN_CREATE;
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(uri.c_str(), &raw, flags, nullptr);
  Database database;
  database.db_.reset(raw);
  if (code != SQLITE_OK) return StatusOf(raw, code, StrCat("open ", path));
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, options.busy_timeout_ms);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  return database;
}

absl::Status Database::Exec(const std::string& sql) {
  return StatusOf(db_.get(), sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr), sql);
}

absl::StatusOr<Statement> Database::Prepare(std::string_view sql, bool persistent) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                                      persistent ? SQLITE_PREPARE_PERSISTENT : 0, &statement, nullptr);
  if (code != SQLITE_OK) return StatusOf(db_.get(), code, sql);
  return Statement(statement);
}

absl::StatusOr<int64_t> Database::QueryInt(std::string_view sql) {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::NotFoundError(StrCat("no row: ", sql));
  return statement.Int(0);
}

int64_t Database::Changes() const { return sqlite3_changes64(db_.get()); }

absl::Status Database::Checkpoint(bool truncate) {
  const int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
  return StatusOf(db_.get(), sqlite3_wal_checkpoint_v2(db_.get(), nullptr, mode, nullptr, nullptr), "checkpoint");
}

void Database::LimitTime(int64_t ms) {
  if (ms <= 0) {
    sqlite3_progress_handler(db_.get(), 0, nullptr, nullptr);
    return;
  }
  deadline_us_ = std::make_unique<int64_t>(SystemClock().MonotonicUs() + ms * 1000);
  sqlite3_progress_handler(
      db_.get(), 1000,
      [](void* deadline) { return SystemClock().MonotonicUs() > *static_cast<int64_t*>(deadline) ? 1 : 0; },
      deadline_us_.get());
}

absl::StatusOr<Transaction> Transaction::Begin(Database& db) {
  RETURN_IF_ERROR(db.Exec("BEGIN IMMEDIATE"));
  return Transaction(&db);
}

Transaction::~Transaction() {
  // An error may have ended it already; then there is nothing to roll back.
  if (db_ != nullptr && sqlite3_get_autocommit(db_->handle()) == 0) db_->Exec("ROLLBACK").IgnoreError();
}

absl::Status Transaction::Commit() {
  RETURN_IF_ERROR(db_->Exec("COMMIT"));
  db_ = nullptr;
  return absl::OkStatus();
}

}  // namespace sluice::sqlite
