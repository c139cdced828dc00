// What the uplink needs from whoever holds the items. Implemented by gateway/outbox; by a plain map in simulations.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/item.h"

namespace sluice::sync {

// All that is held of one epoch on one queue, acknowledged or not (delivery rule R9).
struct Held {
  Epoch epoch;
  uint64_t first = 0;      // 0: nothing held
  uint64_t last = 0;
  uint64_t acked_to = 0;   // as far as we know
};

// The cloud's word: the last number of the epoch that took effect there.
struct Floor {
  EpochId epoch;
  uint64_t cursor = 0;
};

struct ReadLimits {
  size_t max_items = 512;
  size_t max_bytes = 256u << 10;
};

// Thread-safe.
class Outbox {
 public:
  virtual ~Outbox() = default;

  // Every epoch with anything held on the queue, and the running one, in start order. The running one is last. An epoch
  // of which nothing is held any more stays listed (first 0) while its last number is remembered: only so can the loss be
  // named when a restored cloud lacks it (R9, R12).
  virtual std::vector<Held> HeldEpochs(Queue queue) = 0;

  // The epoch under which the queue's next item will be numbered. Cheap.
  virtual Epoch RunningEpoch(Queue queue) = 0;

  // Ends the running epoch on every queue and begins another under `shop` (case 25). What was accepted before keeps its
  // keys and its shop. On error the old one goes on: ResourceExhausted until there is room on the disk.
  virtual absl::Status BeginEpoch(const std::string& shop) = 0;

  // Another box has written under the epoch's keys (R9); up to `trusted` the cloud has ours. What is held of the queue above
  // it is keyed anew, in its order and under its event ids, as an epoch that comes directly behind this one. Where the epoch
  // is the running one, that goes for all queues from what each was acknowledged, and another one begins. Durable when it
  // returns OK; on error nothing has changed. A stream that is open has to begin again, for Hello says something else now.
  virtual absl::Status KeyAnew(Queue queue, const EpochId& epoch, uint64_t trusted) = 0;

  // Sets what is pending to everything above the floors (R7): numbers above are pending even if they were acknowledged
  // before (a restored cloud), what is not held any more becomes a gap beyond_replay_window.
  virtual absl::Status Recover(Queue queue, const std::vector<Floor>& floors) = 0;

  // Items of the epoch from number `from` on, contiguous and ascending, within the limits (at least one if there is
  // any). Empty: nothing there yet. Does not wait for SQLite while memory has it.
  virtual absl::StatusOr<std::vector<Item>> Read(Queue queue, const EpochId& epoch, uint64_t from,
                                                 const ReadLimits& limits) = 0;

  // Everything of the epoch up to `through` took effect in the cloud. Completes waiters; durable lazily (a repeat after
  // a crash is skipped by the cloud's cursor).
  virtual void Acknowledge(Queue queue, const EpochId& epoch, uint64_t through) = 0;

  // For trace: [first, last] went out now.
  virtual void Sent(Queue queue, const EpochId& epoch, uint64_t first, uint64_t last) = 0;

  // The id of a held record; nothing if it is not held, or a gap.
  virtual std::optional<EventId> IdAt(Queue queue, const EpochId& epoch, uint64_t number) = 0;

  // `wake` is called, from any thread and at most once until the next Read returned empty, when an item was added to
  // the queue. It must not block and must not call the outbox. Set before the first item.
  virtual void SetWakeup(Queue queue, std::function<void()> wake) = 0;

  // The stream acknowledges (true) or is down (false): decides whether items wait in memory for the cloud or are
  // stored after spill_after.
  virtual void LinkUp(Queue queue, bool up) = 0;
};

}  // namespace sluice::sync
