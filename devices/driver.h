// The small interfaces between drivers and the gateway. Owned here; the intake implements EventSink.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "devices/event.h"

namespace sluice::devices {

// Called once, from any thread, also before Offer returned; must be short. OK: the event is safe, on flash or in the cloud
// (delivery rule R3). An error: the gateway stopped first, nothing may be promised and the device must send again.
using SafeCompletion = absl::AnyInvocable<void(absl::Status)>;

// Where drivers deliver. Thread-safe. Accept is for drivers that answer their devices by other means than its return; Offer for
// those that hold back the answer until the event is safe and serve many devices on one thread.
class EventSink {
 public:
  virtual ~EventSink() = default;
  // Takes an event. Returns once it is written to the journal (it survives kill -9) or refused for good; blocks while
  // the gateway has no room, at most until Shutdown. OK, also for a duplicate; InvalidArgument or PermissionDenied:
  // refused, recorded and named in the next receipt; Unavailable: not taken, the gateway is stopping.
  virtual absl::Status Accept(const std::string& source, const std::string& where, DecodedEvent event) = 0;
  // Takes an event without waiting for room or for the disk's flush. OK: taken, or a duplicate; `safe` is called when it is
  // safe (a duplicate's with its original's). ResourceExhausted: no room now, nothing was taken and `event` may be offered
  // again after WhenRoom. InvalidArgument, PermissionDenied, Unavailable: as with Accept. `safe` is called only after OK.
  virtual absl::Status Offer(const std::string& source, const std::string& where, DecodedEvent& event,
                             SafeCompletion safe) = 0;
  // `room` is called once, from a thread of the gateway, when Offer may succeed again; also when the gateway stops. It may
  // come after the sink is gone.
  virtual void WhenRoom(absl::AnyInvocable<void()> room) = 0;
  // Counts and remembers what could not be decoded.
  virtual void Reject(Rejection rejection) = 0;
  // A retained message on an event topic: the broker's memory, not an event (case 38). Counted.
  virtual void CountRetained(const std::string& source) = 0;
};

// Carries receipts back to devices. A driver whose devices understand them implements it. Called from one thread of the
// gateway; must not block for long.
class ReceiptChannel {
 public:
  virtual ~ReceiptChannel() = default;
  virtual void SendReceipt(const Receipt& receipt) = 0;
};

struct DriverStatus {
  std::string name;      // mqtt:main, listener:shop, serial:scale-1
  std::string state;     // connected, listening, connecting, waiting, closed
  std::string detail;    // why, in words
  std::string promise;   // what an acknowledgement on this path means
  uint64_t events = 0;
  uint64_t rejected = 0;
  // More of what this kind of source counts, as names for programs: "connections".
  std::vector<std::pair<std::string, uint64_t>> figures;
  // What is not as it should be now: a code ("files") and what to know about it. Becomes a warning for as long as it lasts.
  struct Trouble {
    std::string code, text;
  };
  std::vector<Trouble> troubles;
};

// One configured source of events. Start and Stop are called from the main thread; Status from any.
class Driver {
 public:
  virtual ~Driver() = default;
  virtual absl::Status Start() = 0;   // begins to connect or retries for ever; an error only for what can never work
  virtual void Stop() = 0;            // no call into the sink after it returned
  virtual DriverStatus Status() const = 0;
  virtual ReceiptChannel* receipts() { return nullptr; }
};

}  // namespace sluice::devices
