// Where an event enters the gateway: checked, named, encoded once, written to the journal, receipted when it is safe.
//
// The path of one event through this folder: Accept or Offer → validate (is it an event?) → device_ranges, recent_ids (is it new?) →
// routing (which queue?) → encode → journal Append → completion → receipts.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/random.h"
#include "devices/driver.h"
#include "gateway/intake/clock_state.h"
#include "gateway/intake/device_table.h"
#include "gateway/intake/receipts.h"
#include "gateway/intake/reject_log.h"
#include "gateway/intake/tail_ring.h"
#include "gateway/journal/journal.h"

namespace sluice::intake {

struct Options {
  std::string gateway, shop;                // our own names at the start; an event that claims others is refused
  size_t max_event_bytes = 64u << 10;       // encoded; must not exceed the journal's max_record_bytes
  int64_t receipt_interval_ms = 50;
  size_t max_devices = 10'000;              // remembered at a time
  RejectLog::Options rejects;
};

// Since the start; monotone but for `waiting` and `devices`.
struct Figures {
  uint64_t accepted = 0;       // written to the journal
  uint64_t duplicates = 0;     // recognised and not written again
  uint64_t rejected = 0;       // of these `foreign` claimed another gateway or shop
  uint64_t foreign = 0;
  uint64_t rejects_not_stored = 0;   // shown in memory only, to spare the card
  uint64_t retained = 0;       // retained messages that were passed over
  uint64_t late = 0;           // numbers that came after higher ones
  uint64_t receipts = 0;
  uint64_t space_waits = 0;    // events that had to wait for room in the journal
  uint64_t waiting = 0;        // threads, and sources that offer, that wait for room now
  uint64_t devices = 0;
  uint64_t snapshot_errors = 0;      // rows of ranges that could not be read at start
  uint64_t unreadable_records = 0;   // records in the journal's segments that are not events
};

// Thread-safe. Accept and Offer are called from the drivers' threads, completions come from the journal's; one thread of its own sends
// receipts. The journal's completions may come after the intake is gone.
class Intake final : public devices::EventSink {
 public:
  // `journal`, `clock`, `random` and `clock_watch` must outlive the intake. `store_reject` takes rows of rejected messages
  // (outbox PutRejected); may be empty.
  Intake(Options options, journal::Journal& journal, const Clock& clock, Random& random, ClockWatch& clock_watch,
         std::function<void(std::string)> store_reject);
  ~Intake() override;   // as Shutdown

  // Before the first Accept: learns what was taken from the journal's segments (which the journal synced when it opened) and
  // from the rows that TakeChanged gave an earlier run. Rows that cannot be read are counted and passed over.
  absl::Status Restore(const std::map<std::string, std::string>& rows);
  // Receipts begin to go out.
  void Start();
  // Accept and Offer return Unavailable from now on, also to those who wait for room. What is owed by now is receipted.
  void Shutdown();

  // The gateway has moved: events that claim another shop than this are refused from now on. The journal's epoch says to
  // which shop an accepted one belongs.
  void SetShop(std::string shop);

  // Where the receipts of a source's devices go; null: nowhere any more. No call into the channel is under way afterwards.
  void SetReceiptChannel(const std::string& source, devices::ReceiptChannel* channel);

  // devices::EventSink. Within a queue, what one device gave first is first in the journal, also from two threads.
  absl::Status Accept(const std::string& source, const std::string& where, devices::DecodedEvent event) override;
  absl::Status Offer(const std::string& source, const std::string& where, devices::DecodedEvent& event,
                     devices::SafeCompletion safe) override;
  void WhenRoom(absl::AnyInvocable<void()> room) override;
  void Reject(devices::Rejection rejection) override;
  void CountRetained(const std::string& source) override;

  // Looks at the clock and, where that is called for, appends a clock fix to every queue (R13). Call about once a second. A
  // queue that has no room gets its fix at a later call; the error says so.
  absl::Status PollClock();

  // Rows to be saved with the next transaction of the outbox, key -> value; an empty value deletes (R11). They hold only what
  // is safe, so a row may be newer or older than the journal and is never wrong.
  std::map<std::string, std::string> TakeChanged();
  // The transaction failed: the rows come again with the next TakeChanged, unless newer ones do.
  void GiveBack(std::map<std::string, std::string> rows);

  Figures figures() const;
  std::vector<DeviceInfo> devices() const { return devices_.List(); }
  const TailRing& tail() const { return tail_; }
  const RejectLog& rejects() const { return rejects_; }
  // Rows that an earlier run stored, newest first as the outbox lists them.
  void RestoreRejects(std::vector<std::string> rows);

 private:
  // Who an event is: the device's numbering, else the id that it gave the message, else nothing.
  struct Numbering {
    bool numbered = false, named = false;
    uint64_t boot = 0, seq = 0;
    EventId id;   // zero until it is known
  };

  enum class Patience { kWait /* Accept */, kReturn /* Offer */ };
  enum class Known { kNew, kTaken, kSafe };

  absl::Status Take(const std::string& source, const std::string& where, event::v1::DeviceEvent& event, Patience patience,
                    devices::SafeCompletion safe);
  absl::Status TakeInOrder(const std::shared_ptr<Device>& device, const std::string& source, const std::string& where,
                           event::v1::DeviceEvent& event, Patience patience, devices::SafeCompletion safe);
  Known NoteSpeaker(const std::shared_ptr<Device>& device, const std::string& source, const Numbering& numbering,
                    const event::v1::DeviceEvent& event);
  void AnswerDuplicate(Known known, devices::SafeCompletion safe);
  void NoteTaken(Device& device, const Numbering& numbering, const event::v1::DeviceEvent& event);
  void Stamp(event::v1::DeviceEvent& event, const EventId& id) const;
  // `safe` may be empty.
  journal::Completion CompletionOf(const std::shared_ptr<Device>& device, const Numbering& numbering,
                                   const event::v1::DeviceEvent& event, devices::SafeCompletion safe) const;
  // The number; Unavailable when the gateway stops; InvalidArgument; from TryAppend also ResourceExhausted.
  absl::StatusOr<uint64_t> TryAppend(journal::NewRecord record, journal::Completion completion);
  absl::StatusOr<uint64_t> AppendOrWait(Queue queue, const EventId& id, int64_t accepted_ms, const std::string& bytes,
                                        absl::FunctionRef<journal::Completion()> completion);
  absl::Status Refuse(const std::string& source, const std::string& where, const event::v1::DeviceEvent& event,
                      absl::Status why);
  void OweRefusal(const devices::Rejection& rejection);
  void RestoreRecord(const Item& item);
  void SetSource(Device& device, const std::string& source);
  absl::Status AppendFix(Queue queue);
  std::string Shop() const;

  const Options options_;
  journal::Journal& journal_;
  const Clock& clock_;
  Random& random_;
  ClockWatch& clock_watch_;
  const std::shared_ptr<Chores> chores_;

  mutable std::mutex shop_mutex_;
  std::string shop_;   // guarded by shop_mutex_

  std::mutex rows_mutex_;
  // Guarded by rows_mutex_: what goes with the next TakeChanged beside the changed devices.
  std::map<std::string, std::string> rows_;

  DeviceTable devices_;
  Receipts receipts_;
  RejectLog rejects_;
  TailRing tail_;

  std::atomic<bool> stopping_{false};
  std::mutex stop_mutex_;
  std::condition_variable stopped_;

  std::mutex fix_mutex_;
  // Guarded by fix_mutex_: the newest fix and the queues that still lack it.
  event::v1::ClockFix fix_;
  std::vector<Queue> fix_queues_;

  struct Counters {
    std::atomic<uint64_t> accepted{0}, duplicates{0}, foreign{0}, retained{0}, late{0}, space_waits{0}, waiting{0},
        snapshot_errors{0}, unreadable_records{0};
  };
  Counters counters_;
  // WhenRoom's that were not called yet; the journal may outlive the intake.
  const std::shared_ptr<std::atomic<uint64_t>> room_wanted_ = std::make_shared<std::atomic<uint64_t>>(0);
};

}  // namespace sluice::intake
