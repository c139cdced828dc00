// The append-only log on flash: where an event becomes the gateway's promise (delivery rules R1, R3–R6; FORMAT.md).
//
// Knows only bytes, ids and numbers. One instance per state directory. All methods are thread-safe unless said
// otherwise; completions and the tail are called without any of the journal's locks, except OnAppended (see there).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/item.h"
#include "base/random.h"
#include "base/seal.h"

namespace sluice::journal {

// Who learns of what was written. Implemented by the outbox.
class Tail {
 public:
  virtual ~Tail() = default;
  // `item` has its number and is written (not yet synced). Called in number order per queue while the journal's append
  // lock is held: must be short, must not call the journal.
  virtual void OnAppended(Item item) = 0;
  // The journal is about to recycle segments and needs every item up to these numbers acknowledged or stored
  // elsewhere. Returns at once; the work is done on the tail's own thread, which then calls Journal::Release.
  virtual void OnSpaceNeeded(uint64_t segment) = 0;
  // A segment is finished: the moment to save what must not be older than the journal (delivery rule R11).
  virtual void OnSegmentChange() = 0;
  // Items come under this epoch from now on, numbered from 1 in every queue. Called like OnAppended, before the first.
  virtual void OnEpochBegun(const Epoch& epoch) = 0;
};

struct Options {
  std::string folder;                       // created 0700
  uint64_t segment_bytes = 8u << 20;        // multiple of 4096
  uint32_t min_segments = 3;                // made when first opened
  uint32_t max_segments = 8;                // more are made on demand while the quota allows
  size_t max_record_bytes = 256u << 10;     // larger payloads are refused (case 39)
  int64_t sync_at_least_every_ms = 5000;    // R4
  Id128 boot;                               // of the machine; zero: not known
};

struct Figures {
  uint64_t appended = 0, appended_bytes = 0, syncs = 0, sync_failures = 0, short_writes = 0, segments = 0,
           segment_changes = 0, bad_records = 0, waiting = 0, position_failures = 0, foreign_segments = 0;
  bool positions_failing = false;   // the last try to write them failed
  int64_t last_sync_us = 0;   // how long the last sync took
};

// Called exactly once for each accepted item: OK when it is safe, an error only when the journal is shut down first
// (the event may or may not have survived; the device must send again).
using Completion = absl::AnyInvocable<void(absl::Status)>;

struct NewRecord {
  Queue queue = Queue::kShopBulk;
  EventId id;
  int64_t accepted_ms = 0;
  std::string bytes;
};

// What was found at start, oldest first.
struct Found {
  struct Segment {
    std::string file;
    uint64_t number = 0;
    absl::Status status;   // why reading ended before the end of the written part, if it did
  };
  // The end of the last run, where its newest segment is damaged or gone.
  struct Tail {
    Queue queue = Queue::kShopBulk;
    uint64_t read_to = 0;    // the last number that can be read
    uint64_t taken_to = 0;   // these were taken for certain …
    uint64_t limit = 0;      // … and up to here some may have been
    bool counted = false;    // Holds counts them up to the limit; false: nothing says that there were any
  };
  std::vector<Epoch> epochs;       // in start order, without the new one; also those of which only positions are left
  std::vector<Segment> segments;
  std::vector<Tail> tails;
  absl::Status positions;          // why journal.positions or its copy could not be read, if it was there
  bool clean_stop = true;          // false: the last run did not close the journal; up to 50 ms of bulk may be missing
};

class Journal {
 public:
  // Opens or creates, reads and syncs every segment, then begins a new epoch in a new segment. Always succeeds on
  // damaged content: a damaged segment is kept (renamed *.bad-<n>, never deleted) and reported in Found; and where no
  // segment can be made or written (disk full, read-only), it takes nothing until one can. An error means that the folder
  // cannot be made or read, or that another process has it.
  // `files`, `clock`, `random` and `sealer` outlive the journal.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const Options& options, const std::string& gateway,
                                                       const std::string& shop, uint64_t ordinal, FileSystem& files,
                                                       const Clock& clock, Random& random, const Sealer* sealer);
  // Shuts down: syncs, completes or fails all waiters, stops the syncer thread.
  virtual ~Journal() = default;

  // The running one; another may begin at any time.
  virtual Epoch epoch() const = 0;
  virtual const Found& found() const = 0;

  // Must be called before the first Append. Called with null, it detaches the tail and returns when no call of it is
  // under way; then the tail may be destroyed. Not from inside a call of the tail.
  virtual void Start(Tail* tail) = 0;

  // Writes the record with one pwrite and numbers it. When the call returns OK the record survives the death of the
  // process, not yet a power cut; `done` tells when it is safe: synced, or acknowledged by the cloud.
  // ResourceExhausted: no segment can be recycled yet; nothing was taken, try again after WaitForSpace.
  // InvalidArgument: larger than max_record_bytes. `done` is not called when an error is returned.
  virtual absl::StatusOr<uint64_t> Append(NewRecord record, Completion done) = 0;
  // As Append for a thread that must not wait for the disk: ResourceExhausted also while segments are changed (which
  // syncs). What remains is the pwrite itself, which did not wait for a running fdatasync of 80 ms (ext4, measured), and
  // other appenders' pwrites.
  virtual absl::StatusOr<uint64_t> TryAppend(NewRecord record, Completion done) = 0;

  // `done` once the number is safe; at once if it is already, as all of an epoch that has ended is.
  virtual void WhenSafe(const EpochId& epoch, Queue queue, uint64_t number, Completion done) = 0;

  // Ends the running epoch and begins another under `shop`, in a new segment, while the journal runs: one start of the
  // daemon may have several (delivery rule R9). When it returns OK everything of the old one is safe and its waiters are
  // complete. Appends that come meanwhile wait. On error the old epoch goes on: ResourceExhausted where no segment can be
  // begun yet, InvalidArgument for a name that is too long. Waits for the disk; not from inside a call of the tail.
  virtual absl::Status BeginEpoch(const std::string& shop) = 0;

  // Blocks until Append may succeed again or the timeout passes. True: try.
  virtual bool WaitForSpace(int64_t timeout_ms) = 0;
  // `ready` is called once, on the journal's thread, when TryAppend may succeed again: soon, if it may now; after a pause
  // where the disk refused the last write. Also when the journal closes.
  virtual void WhenSpace(absl::AnyInvocable<void()> ready) = 0;

  // The cloud has acknowledged everything up to `number`; completes the waiters below it. `ack_time_us`: from append
  // to acknowledgement of the newest one covered; steers how long the syncer waits for the cloud (R4).
  virtual void Acknowledged(const EpochId& epoch, Queue queue, uint64_t number, int64_t ack_time_us) = 0;
  // The stream of a queue is up and acknowledging, or not.
  virtual void LinkUp(Queue queue, bool up) = 0;

  // Everything up to `number` is acknowledged or committed elsewhere: segments may go when all of theirs is (R6).
  virtual void Release(const EpochId& epoch, Queue queue, uint64_t number) = 0;
  // From the tail at start: an earlier epoch that it holds, up to `last`. The journal notes it with the positions until
  // all of it is acknowledged: should the tail's store be lost, these numbers can still be named.
  virtual void Remember(const Epoch& epoch, Queue queue, uint64_t last, uint64_t acked_to) = 0;

  // Syncs now and waits for it; what was acknowledged is noted durably too.
  virtual absl::Status Sync() = 0;

  // Everything readable of (epoch, queue) with numbers in [from, last], ascending, until the visitor returns false.
  // Reads from segment files: slower than memory; for recovery and for what neither memory nor outbox holds.
  virtual absl::Status Read(const EpochId& epoch, Queue queue, uint64_t from, uint64_t last,
                            const std::function<bool(Item)>& visitor) const = 0;
  // Every record of every segment in the order it was written (start-up: device ranges, recovery).
  virtual absl::Status ReadAll(const std::function<bool(Item)>& visitor) const = 0;

  // Which numbers of (epoch, queue) the segments hold, as first and last; {0, 0}: none. There may be holes between, and
  // at the end: `last` also counts numbers that heads or positions say were taken though their records are gone, and,
  // where the end of a run is lost, those that may have been: where it ended is not known to the number. `acked_to`: how far
  // the cloud had acknowledged, as far as it is known here: nothing above it was recycled without being stored.
  struct Span {
    uint64_t first = 0, last = 0, acked_to = 0;
  };
  virtual Span Holds(const EpochId& epoch, Queue queue) const = 0;
  virtual uint64_t LastNumber(Queue queue) const = 0;        // of the running epoch
  // Wall-clock ms when the number of the running epoch was covered by a sync; 0: not yet or not remembered.
  virtual int64_t SyncedAtMs(Queue queue, uint64_t number) const = 0;
  virtual Figures figures() const = 0;
};

}  // namespace sluice::journal
