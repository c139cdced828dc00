// The SQLite side of the outbox: rows in, rows out (SCHEMA.md). No policy.
//
// The writer's methods are for one thread. ReadItems, ReadSnapshots and ReadRejected open a short connection of their
// own and may be called from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/item.h"
#include "base/seal.h"
#include "base/sqlite.h"
#include "gateway/outbox/stream.h"

namespace sluice::outbox {

inline constexpr int64_t kSchemaVersion = 1;
inline constexpr uint64_t kHighestNumber = (uint64_t{1} << 44) - 1;

struct TimeRow {
  int64_t stream = 0;
  int kind = 0;  // 1 sent, 2 acknowledged
  uint64_t first = 0, last = 0;
  int64_t at_ms = 0;
  int64_t begun_ms = 0;   // of the first that was merged into it; not stored
};

// The rows of table streams with their ranges, from any connection.
absl::StatusOr<std::vector<std::unique_ptr<Stream>>> LoadStreams(sqlite::Database& db);
// Rows of table snapshots.
absl::StatusOr<std::map<std::string, std::string>> LoadSnapshots(sqlite::Database& db);
// Items of the stream (by its id there) whose last number is in [from, through], ascending, until the visitor returns
// false. What does not decode is left out and counted in `bad`. On a damaged tree `*reached` is the last number seen.
absl::Status LoadItems(sqlite::Database& db, const Stream& stream, uint64_t from, uint64_t through,
                       const Sealer* sealer, const std::function<bool(Item)>& visitor, uint64_t* bad,
                       uint64_t* reached);

// For reading alone, a file that may be damaged or lie on a disk that is full or read-only: with its write-ahead log if
// that is possible, else what the file itself says. DataLoss: it is not a database any more.
absl::StatusOr<sqlite::Database> OpenForReading(const std::string& path);

class Store {
 public:
  struct Options {
    std::string path;
    uint64_t quota_bytes = 0;
    int64_t check_ms = 2000;  // how long the quick check may take
  };
  Store(const Options& options, const Sealer* sealer) : options_(options), sealer_(sealer) {}

  // Opens or makes the database; on an error it is closed. DataLoss: corrupt. Unimplemented: another format version.
  absl::Status Open();
  // Lets go of the file, so that it can be set aside. While it is closed whatever writes fails with ResourceExhausted, and
  // reading finds what `read_from` says (OpenForReading); empty: nothing.
  void Close(const std::string& read_from);
  // Thread-safe.
  bool is_open() const {
    const std::lock_guard lock(mu_);
    return open_;
  }

  absl::StatusOr<std::vector<std::unique_ptr<Stream>>> Streams() { return LoadStreams(db_); }

  // Between Begin and Commit (or Rollback).
  absl::Status Begin();
  absl::Status Commit();
  void Rollback();
  absl::Status AddStream(Stream& stream);  // gives it its id
  absl::Status RemoveStream(int64_t stream);
  absl::Status PutSentAs(const Stream& stream, const SentAs& sent_as);
  absl::Status SavePositions(int64_t stream, uint64_t last, uint64_t stored_to, uint64_t acked_to);
  // False: a row with this last number is there already.
  absl::StatusOr<bool> PutItem(const Stream& stream, const Item& item);
  absl::Status DeleteItems(int64_t stream, uint64_t first, uint64_t last);
  absl::Status PutRange(int64_t stream, const StoredRange& range);
  absl::Status DeleteRange(int64_t stream, uint64_t last);
  absl::Status PutSnapshots(const std::map<std::string, std::string>& rows);
  absl::Status PutRejected(const std::vector<std::string>& rows, size_t keep);
  absl::Status PutTimes(const std::vector<TimeRow>& rows, size_t keep);

  absl::StatusOr<uint64_t> UsedBytes();  // pages in use, without the free ones
  absl::Status GiveBackPages(int pages);
  absl::Status Checkpoint(bool truncate) { return is_open() ? db_.Checkpoint(truncate) : absl::OkStatus(); }

  // Items of the stream whose last number is in [from, through], ascending, until the visitor returns false. Rows that
  // do not decode are left out and counted in `bad`.
  absl::Status ReadItems(const Stream& stream, uint64_t from, uint64_t through,
                         const std::function<bool(Item)>& visitor, uint64_t* bad = nullptr) const;
  absl::StatusOr<std::map<std::string, std::string>> ReadSnapshots() const;
  absl::StatusOr<std::vector<std::string>> ReadRejected(size_t newest) const;
  absl::StatusOr<std::vector<TimeRow>> ReadTimes() const;

 private:
  absl::Status Prepare();
  void LetGo();
  // NotFound: there is nothing to read.
  absl::StatusOr<sqlite::Database> Reader() const;

  const Options options_;
  const Sealer* const sealer_;
  sqlite::Database db_;
  mutable std::mutex mu_;
  // Guarded by mu_.
  bool open_ = false;
  std::string read_from_;  // while it is not
  sqlite::Statement put_item_, delete_items_, put_range_, delete_range_, save_positions_;
  std::unique_ptr<sqlite::Transaction> transaction_;
  // Refused messages may name people, whatever queue they would have gone to: sealed under a key of this opening.
  Id128 rejected_key_;
  uint64_t rejected_counter_ = 0;
};

}  // namespace sluice::outbox
