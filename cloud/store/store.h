// A service's database: one writer, several readers, errors as absl::Status. SQLite by SOCI; the SQL of the services is
// kept in the subset that PostgreSQL shares.
//
// SQLite runs WAL with synchronous=FULL: what Write returned OK for survives a power cut (an ack makes the edge forget).
// Only the writer's connection checkpoints: 3.40.1 has the WAL-reset bug with two.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/unique_fd.h"
#include "cloud/store/migration.h"
#include "cloud/store/statement.h"

namespace sluice::store {

class Connection;
class Store;

// Who keeps something in memory of what a transaction writes.
class Participant {
 public:
  virtual ~Participant() = default;
  // On the writing thread, before the next transaction begins and before anybody else sees that this one has ended. False:
  // rolled back, or the commit failed, in which case the next start may still find it committed.
  virtual void Ended(bool committed) = 0;
};

// What may be done within one transaction; lives as long as the call of Write or Read that handed it out.
class Transaction {
 public:
  absl::StatusOr<Statement*> Prepare(const Sql& sql);

  // The count of rows inserted, updated or deleted.
  template <typename... Values>
  absl::StatusOr<int64_t> Run(const Sql& sql, const Values&... values) {
    absl::StatusOr<Statement*> statement = Prepare(sql);
    if (!statement.ok()) return statement.status();
    return (*statement)->Run(values...);
  }
  // Rows by the statement's Next. One query of the same Sql at a time.
  template <typename... Values>
  absl::StatusOr<Statement*> Query(const Sql& sql, const Values&... values) {
    absl::StatusOr<Statement*> statement = Prepare(sql);
    if (!statement.ok()) return statement.status();
    absl::Status status = (*statement)->Query(values...);
    if (!status.ok()) return status;
    return *statement;
  }
  // The only row, or null if there is none. For queries by a unique key.
  template <typename... Values>
  absl::StatusOr<Statement*> Find(const Sql& sql, const Values&... values) {
    absl::StatusOr<Statement*> statement = Query(sql, values...);
    if (!statement.ok()) return statement.status();
    return OnlyRow(*statement);
  }

  // The next number in the order of application: ascending over the whole store, never given twice, with gaps where a
  // transaction was rolled back. Within Write only.
  int64_t NextPosition();

  // Tells `participant` how the transaction ended; once, however often it joins. Within Write only.
  void Join(Participant& participant);

 private:
  friend class Store;
  Transaction(Connection& connection, int64_t& next_position)
      : connection_(connection), next_position_(next_position) {}
  static absl::StatusOr<Statement*> OnlyRow(Statement* statement);

  Connection& connection_;
  int64_t& next_position_;
  std::vector<Participant*> participants_;
};

struct StoreOptions {
  std::string path;                     // the database file; its folder exists
  size_t readers = 4;                   // connections, made when they are first needed
  int64_t cache_kib = 32 * 1024;        // of the writer
  int64_t checkpoint_pages = 8 * 1024;  // WAL of this size is checkpointed at once: 64 MiB
  int64_t idle_checkpoint_pages = 32;   // and of this size when there is nothing else to do
  FileSystem* files = nullptr;          // where the path is; null: the machine's. SQLite has its own way there
};

// Thread-safe. One process per database file, kept by a lock on "<path>.lock".
class Store {
 public:
  using Work = absl::FunctionRef<absl::Status(Transaction&)>;

  // Opens or makes the database and brings its schema up to date. FailedPrecondition: another process has it, the
  // schema is newer than this program, or a migration that was applied reads otherwise now.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const StoreOptions& options,
                                                     const std::vector<Component>& components);
  ~Store();

  // Runs `work` in a transaction, one at a time over all threads; commits if it returns OK, else rolls back and returns
  // its error. OK: the effect is durable. After an I/O error the connection is made anew (a failed fsync is never
  // retried on the same handle).
  absl::Status Write(Work work);
  // Runs `work` on a snapshot.
  absl::Status Read(Work work);

  // Runs `work` on a connection of its own to a database that may be open elsewhere: tools and tests.
  static absl::Status ReadOnce(const std::string& path, Work work);

  // The highest position of what is committed.
  int64_t committed_position() const { return committed_position_.load(std::memory_order_acquire); }
  // `listener` is called after every commit that took positions, from the writing thread: it must not block and not
  // call the store. Before the first Write.
  void OnCommit(std::function<void()> listener) { listeners_.push_back(std::move(listener)); }

  // Moves the WAL into the database if enough has gathered. Call it when there is nothing to write.
  absl::Status CheckpointWhenIdle();

 private:
  explicit Store(StoreOptions options);
  absl::StatusOr<std::unique_ptr<Connection>> Connect(bool writer);
  absl::Status OpenWriter();
  absl::Status Migrate(const std::vector<Component>& components);
  absl::Status Checkpoint();

  const StoreOptions options_;
  UniqueFd lock_;
  std::unique_ptr<File> database_;          // guarded by write_mutex_; closed after the connections, see OpenWriter
  std::vector<std::function<void()>> listeners_;

  std::mutex write_mutex_;
  std::unique_ptr<Connection> writer_;      // guarded by write_mutex_; null after an I/O error
  int64_t next_position_ = 1;               // guarded by write_mutex_
  int64_t checkpoint_at_;                   // pages of the WAL; guarded by write_mutex_
  std::atomic<int64_t> committed_position_{0};

  std::mutex read_mutex_;
  std::condition_variable reader_free_;
  std::vector<std::unique_ptr<Connection>> free_readers_;   // guarded by read_mutex_
  size_t readers_ = 0;                                      // made, free or busy; guarded by read_mutex_
};

}  // namespace sluice::store
