// What the control service asks of the daemon. The daemon implements it; the service owns it.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "base/item.h"
#include "sluice/control/v1/control.pb.h"

namespace sluice::control {

// One client's way through a sequence of messages. Used by one thread at a time; destroyed when the client is gone.
template <typename Message>
class Stream {
 public:
  virtual ~Stream() = default;
  // The next message, made only now. Nothing: there is none now, and `wake` is called once when there is one.
  virtual std::optional<Message> Next() = 0;
};

// Called from any thread, also under a lock of the caller: returns at once and never calls back.
using Wake = std::function<void()>;

// All methods are called from several threads of the service at once and should return within a second.
class ControlSource {
 public:
  virtual ~ControlSource() = default;

  virtual v1::GetStatusResponse GetStatus() = 0;
  virtual v1::ListDevicesResponse ListDevices() = 0;
  virtual v1::ListQueuesResponse ListQueues() = 0;
  virtual v1::ListDeadLettersResponse ListDeadLetters() = 0;
  // NotFound if nothing is known of the event (any more).
  virtual absl::StatusOr<v1::TraceResponse> Trace(const EventId& id) = 0;
  // Every link that waits tries at once (unless the cloud told it to wait).
  virtual v1::SyncNowResponse SyncNow() = 0;

  // Begins with the newest request.last() messages that are remembered (of request.device_id(), if set), then goes on
  // with new ones; what a slow client missed is in the next message's `dropped`. The service ends the stream itself when
  // request.follow() is false. RingWatcher (ring_watcher.h) makes such streams of a ring.
  virtual std::unique_ptr<Stream<v1::TailedEvent>> Tail(const v1::TailRequest& request, Wake wake) = 0;
  virtual std::unique_ptr<Stream<v1::RejectedMessage>> TailRejected(const v1::TailRequest& request, Wake wake) = 0;
};

}  // namespace sluice::control
