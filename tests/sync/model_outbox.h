// The edge's store as a model: journal and outbox in one, with what is durable apart from what is not.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "sync/outbox.h"

namespace sluice::sync {

// The first 16 bytes of every payload of the models are its event id.
EventId IdOfPayload(std::string_view payload);

// Thread-safe as far as sync::Outbox is; the rest is for one thread.
class ModelOutbox final : public Outbox {
 public:
  ModelOutbox(std::string gateway, std::string shop, Random& random);
  // The whole machine as it stands, running epoch and all: what a snapshot of a virtual machine brings back. With Crash
  // after it, what a copy of the disk does. Wakeups are not copied.
  ModelOutbox(const ModelOutbox& other, Random& random);

  // A record of the running epoch; its number.
  uint64_t Append(Queue queue, std::string payload);
  // Everything appended so far survives a crash.
  void SyncAll();
  // What was not synced is gone, what was acknowledged may be forgotten to be so, a new epoch begins. `tail_known`: the
  // numbers of what is gone are remembered, so that it is declared lost.
  void Crash(bool tail_known = false);
  // Keeps only the newest `items` acknowledged items of each epoch and queue (R12).
  void Trim(Queue queue, size_t items);
  // Adopts an epoch of another gateway's store with `items` records (R14).
  void AddForeignEpoch(Queue queue, const std::string& gateway, uint64_t items);
  // Replaces the record at the number, as a clone of this box would have it.
  void Overwrite(Queue queue, const EpochId& epoch, uint64_t number, std::string payload);
  // Forgets a pending record without declaring the loss: an outbox with a defect.
  void Lose(Queue queue, const EpochId& epoch, uint64_t number);

  Epoch running() const;
  bool Drained(Queue queue) const;
  bool link_up(Queue queue) const;
  // The cloud acknowledged the number at some time.
  bool EverAcknowledged(Queue queue, const EpochId& epoch, uint64_t number) const;
  bool EverAcknowledged(const EventId& id) const;
  uint64_t synced_to(Queue queue) const;   // of the running epoch
  // Under which key this outbox first had each event.
  const std::map<std::pair<EpochId, uint64_t>, EventId>& keys() const { return keys_; }
  // Where what an epoch keyed anew was before: its number 1 followed that number of the other.
  const std::map<EpochId, std::pair<EpochId, uint64_t>>& origins() const { return origins_; }
  uint64_t keyed_anew() const { return keyed_anew_; }   // items
  bool Holds(const EventId& id) const;
  void FailReads(bool fail) { fail_reads_ = fail; }
  void FailKeyAnew(bool fail) { fail_key_anew_ = fail; }

  std::vector<Held> HeldEpochs(Queue queue) override;
  Epoch RunningEpoch(Queue queue) override;
  absl::Status BeginEpoch(const std::string& shop) override;
  absl::Status KeyAnew(Queue queue, const EpochId& epoch, uint64_t trusted) override;
  absl::Status Recover(Queue queue, const std::vector<Floor>& floors) override;
  absl::StatusOr<std::vector<Item>> Read(Queue queue, const EpochId& epoch, uint64_t from,
                                         const ReadLimits& limits) override;
  void Acknowledge(Queue queue, const EpochId& epoch, uint64_t through) override;
  void Sent(Queue queue, const EpochId& epoch, uint64_t first, uint64_t last) override;
  std::optional<EventId> IdAt(Queue queue, const EpochId& epoch, uint64_t number) override;
  void SetWakeup(Queue queue, std::function<void()> wake) override;
  void LinkUp(Queue queue, bool up) override;

 private:
  struct Log {
    Epoch epoch;
    std::map<uint64_t, Item> items;   // by last number
    uint64_t last = 0;
    uint64_t synced = 0;
    uint64_t acked = 0;
    uint64_t acked_durably = 0;
    uint64_t ever_acked = 0;
    bool cut = false;   // what followed was keyed anew: numbers above the last are another box's
  };
  struct Line {
    std::vector<Log> logs;   // in start order; the last is the running one
    std::function<void()> wake;
    bool armed = true;
    bool up = false;
  };

  Log* Find(Queue queue, const EpochId& epoch);
  const Log* Find(Queue queue, const EpochId& epoch) const;
  void BeginEpoch();
  void NoteAcknowledged(const Log& log);
  // The cloud has the number: of an epoch that is over it may know more than we.
  uint64_t Learn(Line& line, Log& log, uint64_t number);
  // Moves everything of the log from number `from` on into an epoch of its own behind it.
  void Cut(Line& line, size_t log, uint64_t from);

  mutable std::mutex mutex_;
  const std::string gateway_;
  std::string shop_;
  Random& random_;
  Epoch running_;
  std::array<Line, kQueueCount> lines_;
  std::set<EventId> acknowledged_;
  std::map<std::pair<EpochId, uint64_t>, EventId> keys_;
  std::map<EpochId, std::pair<EpochId, uint64_t>> origins_;
  uint64_t keyed_anew_ = 0;
  std::atomic<bool> fail_reads_{false};
  std::atomic<bool> fail_key_anew_{false};
};

}  // namespace sluice::sync
