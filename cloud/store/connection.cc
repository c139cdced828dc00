#include "cloud/store/connection.h"

#include "base/status.h"

namespace sluice::store {
namespace {

sqlite_api::sqlite3* Handle(soci::session& session) {
  return static_cast<soci::sqlite3_session_backend*>(session.get_backend())->conn_;
}

extern "C" int NoteWalPages(void* connection, sqlite_api::sqlite3*, const char*, int pages) {
  static_cast<Connection*>(connection)->set_wal_pages(pages);
  return SQLITE_OK;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path, bool writer, int64_t cache_kib) {
  if (path.find('"') != std::string::npos) return absl::InvalidArgumentError("a path with a quotation mark");
  std::unique_ptr<Connection> connection(new Connection);
  absl::Status status = Guard(connection->broken_, [&] {
    connection->session_.open(soci::sqlite3, StrCat("dbname=\"", path, "\" timeout=10"));
    soci::session& session = connection->session_;
    if (writer) {
      // psow=0, which SOCI has no way to say: a sector that a torn write shares with an older commit is not believed to be
      // spared, so that the log pads each commit. Before the log is opened.
      int spared = 0;
      sqlite_api::sqlite3_file_control(Handle(session), "main", SQLITE_FCNTL_POWERSAFE_OVERWRITE, &spared);
      // In a new file only: half as many frames and writes as with 4 KiB, while a commit of one event does not cost much
      // more.
      session << "PRAGMA page_size=8192";
      session << "PRAGMA journal_mode=WAL";
      session << "PRAGMA synchronous=FULL";
      // The WAL keeps its file: overwriting is cheaper than growing. Never more than this after a checkpoint.
      session << "PRAGMA journal_size_limit=134217728";
      session << "PRAGMA cache_size=-" << cache_kib;
      session << "PRAGMA foreign_keys=ON";
      // Takes the place of automatic checkpoints: the store decides when.
      sqlite_api::sqlite3_wal_hook(Handle(session), NoteWalPages, connection.get());
    } else {
      session << "PRAGMA query_only=ON";
      session << "PRAGMA cache_size=-4096";
      sqlite_api::sqlite3_db_config(Handle(session), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    }
  });
  if (!status.ok()) return WithContext(status, path);
  return connection;
}

Connection::~Connection() { statements_.clear(); }

Statement& Connection::Prepare(const Sql& sql) {
  std::unique_ptr<Statement>& statement = statements_[&sql];
  if (statement == nullptr) statement = std::make_unique<Statement>(session_, sql, broken_);
  return *statement;
}

absl::Status Connection::Script(const std::string& sql) {
  char* message = nullptr;
  const int result = sqlite_api::sqlite3_exec(Handle(session_), sql.c_str(), nullptr, nullptr, &message);
  if (result == SQLITE_OK) return absl::OkStatus();
  const std::string text = message == nullptr ? "unknown error" : message;
  sqlite_api::sqlite3_free(message);
  return StatusOf(soci::sqlite3_soci_error(text, result), broken_);
}

void Connection::EndQueries() {
  sqlite_api::sqlite3* const handle = Handle(session_);
  for (auto* statement = sqlite_api::sqlite3_next_stmt(handle, nullptr); statement != nullptr;
       statement = sqlite_api::sqlite3_next_stmt(handle, statement)) {
    if (sqlite_api::sqlite3_stmt_busy(statement) != 0) sqlite_api::sqlite3_reset(statement);
  }
}

absl::Status Connection::Run(const Sql& sql) { return Prepare(sql).Run().status(); }

}  // namespace sluice::store
