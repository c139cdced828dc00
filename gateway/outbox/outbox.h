// Memory in front, SQLite behind: holds every item from the journal's write until the cloud's acknowledgement and, as the
// replay window, a while longer (delivery rules R6, R7, R12; SCHEMA.md). Opaque bytes; knows neither devices nor gRPC.
//
// Threads: all methods are thread-safe. One thread of its own writes and checkpoints SQLite.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/item.h"
#include "base/seal.h"
#include "gateway/journal/journal.h"
#include "sync/outbox.h"

namespace sluice::outbox {

struct Options {
  std::string folder;                          // state directory; the database is outbox.db in it
  size_t memory_bytes = 16u << 20;             // of all queues together; beyond it the oldest are stored at once
  int64_t spill_after_ms = 2000;               // what the cloud has not acknowledged by then is stored
  uint64_t quota_bytes = 1ull << 30;           // of the database: bulk is dropped (as a gap) before it is exceeded
  uint64_t reserved_bytes = 64ull << 20;       // of the quota, for critical queues only
  uint64_t replay_window_bytes = 64ull << 20;  // acknowledged rows kept (R12)
  FileSystem* files = nullptr;                 // where the folder is; null: the machine's. SQLite has its own way there
};

// Saved in every spill transaction and at each segment change (R11). Implemented by the intake: opaque rows.
class Snapshots {
 public:
  virtual ~Snapshots() = default;
  // What changed since the last call, key -> value (an empty value deletes). Called on the writer thread.
  virtual std::map<std::string, std::string> TakeChanged() = 0;
  // The transaction that held them failed: they will be asked for again.
  virtual void GiveBack(std::map<std::string, std::string> rows) = 0;
};

struct QueueFigures {
  uint64_t pending = 0, pending_bytes = 0, in_memory = 0, stored = 0, stored_bytes = 0, acknowledged = 0, gaps = 0;
  int64_t oldest_pending_ms = 0;   // age by the monotonic clock; 0: nothing pending
  int64_t ack_time_us = 0;         // smoothed
  uint64_t last_number = 0;
};

// When things happened to one item. Wall-clock ms; 0: not yet, or not remembered.
struct History {
  Item item;
  int64_t journalled_ms = 0, synced_ms = 0, stored_ms = 0, sent_ms = 0, acknowledged_ms = 0;
  bool acknowledged = false, stored = false;
};

// What start-up found and did, for the log and `sluicectl status`.
struct StartReport {
  std::vector<std::string> set_aside;   // files that could not be used, under their new names; later ones come to it
  uint64_t salvaged = 0, gaps = 0, pending = 0;
  bool outbox_missing = false;    // the journal knows of earlier runs, and the database was empty or not there
  bool journal_missing = false;   // no segment is left of the last run: what it had not stored yet may be lost
  uint64_t foreign = 0;   // streams and journal epochs of another gateway: kept, not sent (R14)
  std::vector<std::string> warnings;
};

class Outbox : public sync::Outbox, public journal::Tail {
 public:
  // Opens or creates the database and recovers (R7) over it and the journal's segments. Starts on any content: an
  // unusable database is set aside and its good rows are salvaged. Where none can be opened or made (the disk is full, or
  // read-only) it works from journal and memory, delivers what can be read of the one that is there, and tries again
  // every second or so (counter writes_failing). Errors only where the folder cannot be made.
  // `journal`, `sealer` and `snapshots` must outlive the outbox. Calls journal.Start(this).
  static absl::StatusOr<std::unique_ptr<Outbox>> Open(const Options& options, journal::Journal& journal,
                                                      const Clock& clock, const Sealer* sealer, Snapshots* snapshots);

  // Rows saved by Snapshots, as last committed; none where they cannot be read. Read before the daemon starts to accept.
  virtual std::map<std::string, std::string> LoadSnapshots() = 0;

  virtual QueueFigures figures(Queue queue) const = 0;
  virtual StartReport start_report() const = 0;
  // NotFound if nothing is held of it any more.
  virtual absl::StatusOr<History> Find(const EventId& id) = 0;

  // A bounded table (newest 1000 rows) for messages that were refused; opaque to the outbox. Returns at once.
  virtual void PutRejected(std::string row) = 0;
  virtual absl::StatusOr<std::vector<std::string>> ListRejected(size_t newest) = 0;

  // Counters by name, monotone, for status: spilled_rows, spill_transactions, sqlite_errors, dropped_bulk, …
  virtual std::map<std::string, int64_t> counters() const = 0;

  // Bounded: stores what is pending, saves snapshots, checkpoints and closes.
  virtual absl::Status Close() = 0;
};

// The order of ordinals on this store: one above the highest known. Reads the database before the journal is opened.
absl::StatusOr<uint64_t> NextOrdinal(const std::string& folder, FileSystem& files);
inline absl::StatusOr<uint64_t> NextOrdinal(const std::string& folder) {
  PosixFileSystem files;
  return NextOrdinal(folder, files);
}

}  // namespace sluice::outbox
