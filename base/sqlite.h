// The sqlite3 C API with owners and absl::Status; no SQL of ours in here.
//
// A Database and its Statements belong to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace sluice::sqlite {

// DataLoss: CORRUPT and NOTADB. ResourceExhausted: FULL. Unavailable: BUSY and LOCKED. AlreadyExists: CONSTRAINT.
// Everything else is Internal (I/O errors, wrong SQL).
absl::Status StatusOf(sqlite3* db, int code, std::string_view what);

class Statement {
 public:
  Statement() = default;
  Statement(Statement&&) noexcept = default;
  Statement& operator=(Statement&&) noexcept = default;

  // Parameters count from 1. Text and blobs are borrowed until the next Reset.
  Statement& Bind(int at, int64_t value);
  Statement& BindBlob(int at, std::string_view value);
  Statement& BindText(int at, std::string_view value);
  Statement& BindNull(int at);

  // True: a row is there. False: done.
  absl::StatusOr<bool> Step();
  // Step to the end, then Reset.
  absl::Status Run();
  // Makes it ready for new parameters; always called before a read transaction may end.
  void Reset();

  // Columns count from 0. Views are valid until the next Step or Reset.
  int64_t Int(int column) const;
  std::string_view Blob(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  struct Options {
    bool read_only = false;
    bool create = true;
    bool immutable = false;  // the file does not change and its WAL is ignored: for salvage
    int busy_timeout_ms = 5000;
  };
  Database() = default;
  // Opens with psow=0: a sector that a torn write shares with older content is not believed to be spared. Closing never
  // checkpoints: who wants a checkpoint asks for one.
  static absl::StatusOr<Database> Open(const std::string& path, const Options& options);

  absl::Status Exec(const std::string& sql);
  absl::StatusOr<Statement> Prepare(std::string_view sql, bool persistent = false);
  // The first column of the first row; NotFound without a row.
  absl::StatusOr<int64_t> QueryInt(std::string_view sql);
  int64_t Changes() const;
  // Merges as much of the write-ahead log as readers allow; truncates it when all went in and `truncate` is set.
  absl::Status Checkpoint(bool truncate);
  // Statements that run longer than this from now on end with an error; 0 lifts it.
  void LimitTime(int64_t ms);

  sqlite3* handle() const { return db_.get(); }
  explicit operator bool() const { return db_ != nullptr; }
  void Close() { db_.reset(); }

 private:
  struct CloseDatabase {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, CloseDatabase> db_;
  std::unique_ptr<int64_t> deadline_us_;
};

// BEGIN IMMEDIATE until Commit; rolled back when it goes away uncommitted.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Database& db);
  Transaction(Transaction&& other) noexcept : db_(other.db_) { other.db_ = nullptr; }
  ~Transaction();
  absl::Status Commit();

 private:
  explicit Transaction(Database* db) : db_(db) {}
  Database* db_;
};

}  // namespace sluice::sqlite
