// One SOCI session with its prepared statements. Of this folder only.
#pragma once

#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "cloud/store/soci_library.h"
#include "cloud/store/statement.h"

namespace sluice::store {

// For one thread at a time.
class Connection {
 public:
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path, bool writer, int64_t cache_kib);
  ~Connection();

  Statement& Prepare(const Sql& sql);
  // Several statements at once, no values: schema files.
  absl::Status Script(const std::string& sql);
  absl::Status Run(const Sql& sql);
  // Ends queries that were left in the middle: SQLite lets COMMIT pass them, but they go on holding the snapshot.
  void EndQueries();

  bool broken() const { return broken_; }
  // Pages in the WAL after the last commit of this connection.
  int64_t wal_pages() const { return wal_pages_; }
  void set_wal_pages(int64_t pages) { wal_pages_ = pages; }

 private:
  Connection() = default;

  soci::session session_;
  bool broken_ = false;
  int64_t wal_pages_ = 0;
  absl::flat_hash_map<const Sql*, std::unique_ptr<Statement>> statements_;   // ends before the session
};

}  // namespace sluice::store
