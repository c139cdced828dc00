// What the receiving side of a stream needs from the service's store (delivery rules R8–R10). The real one applies a batch
// in one transaction; a simulation hands in one that crashes at will.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/item.h"

namespace sluice::ingest {

struct Lease {
  std::string gateway;
  Queue queue = Queue::kShopBulk;
  Id128 token;
};

struct Cursor {
  EpochId epoch;
  uint64_t number = 0;   // the last that took effect; 0: none
  EventId event_id;      // of the record at it; zero for a gap or 0
};

struct DeadLetter {
  EpochId epoch;
  uint64_t number = 0;
  std::string reason;
};

struct Opening {
  Lease lease;
  Id128 generation;                       // of the store: a restore sets a new one
  std::vector<Cursor> cursors;            // one for each epoch asked for, in the same order
  std::vector<DeadLetter> dead_letters;   // of those epochs on this queue; of very many the newest of each epoch
};

struct Applied {
  uint64_t cursor = 0;
  std::vector<DeadLetter> dead_letters;   // among the items of this call
};

// Thread-safe; calls may block on the disk.
class CursorStore {
 public:
  virtual ~CursorStore() = default;

  // Takes the lease of (gateway, queue) and reads the cursors, in one transaction. FailedPrecondition: another box holds it
  // until it expires (lease_policy.h; both are flagged). The same box takes over at once: the older token is dead. The last
  // of `epochs` is the running one.
  virtual absl::StatusOr<Opening> Open(const std::string& gateway, Queue queue, const std::string& hardware_id,
                                       const std::vector<Epoch>& epochs) = 0;

  // R8 in one transaction: token, then for each item skip, accept or stop; effects, losses, bus rows, cursor.
  // FailedPrecondition: the lease is not this token's any more. OutOfRange: the first item is not what comes next;
  // nothing was applied; the message names the number expected. Unavailable or others: the store failed, try again.
  virtual absl::StatusOr<Applied> Apply(const Lease& lease, const EpochId& epoch, const std::vector<Item>& items) = 0;

  virtual absl::Status Renew(const Lease& lease) = 0;    // FailedPrecondition: lost
  virtual void Release(const Lease& lease) = 0;          // clean end of the stream
};

}  // namespace sluice::ingest
