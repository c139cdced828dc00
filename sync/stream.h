// One gRPC call of GatewaySync.Stream, its callbacks turned into tasks of the uplink's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "sluice/sync/v1/sync.pb.h"
#include "sync/mailbox.h"

namespace grpc {
class Channel;
}

namespace sluice::sync {

// Called as tasks of the mailbox: on the thread that takes them, one after the other.
struct StreamHandlers {
  std::function<void(const v1::ServerFrame&)> on_frame;
  std::function<void()> on_written;   // the transport took the frame; the next may be written
  // The last call, exactly once. `hint_ms`: the server's trailer `retry-after-ms`.
  std::function<void(absl::Status, std::optional<int64_t> hint_ms)> on_end;
};

// All methods are for the mailbox's thread. Whoever drops a stream before its end cancels it first.
class Stream {
 public:
  // Opens the call at once; connecting goes on behind it.
  static std::shared_ptr<Stream> Open(std::shared_ptr<grpc::Channel> channel, std::shared_ptr<Mailbox> mailbox,
                                      StreamHandlers handlers);
  virtual ~Stream() = default;

  // The frame to fill for Write; not to be touched until on_written.
  virtual v1::ClientFrame& outgoing() = 0;
  // One at a time.
  virtual void Write() = 0;
  // Nothing more will be written; the server answers what is left and ends the call. Not while a frame is being written.
  virtual void HalfClose() = 0;
  virtual void Cancel() = 0;
};

}  // namespace sluice::sync
