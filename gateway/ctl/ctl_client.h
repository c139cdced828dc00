// Calls to a running sluiced over its Unix socket.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "sluice/control/v1/control.pb.h"

namespace sluice::ctl {

namespace pb = ::sluice::control::v1;

// Errors say for people what to do. kUnavailable and kDeadlineExceeded mean that nobody answers (exit code 3); other
// codes are the daemon's answer. Unary calls wait 5 s at most. Thread-safe.
class CtlClient {
 public:
  // Connects at once: fails here, and says why, when the socket is missing, forbidden or dead.
  static absl::StatusOr<std::unique_ptr<CtlClient>> Connect(const std::string& socket_path);
  virtual ~CtlClient() = default;

  virtual absl::StatusOr<pb::GetStatusResponse> GetStatus() = 0;
  virtual absl::StatusOr<pb::ListDevicesResponse> ListDevices() = 0;
  virtual absl::StatusOr<pb::ListQueuesResponse> ListQueues() = 0;
  virtual absl::StatusOr<pb::TraceResponse> Trace(const std::string& event_id) = 0;
  virtual absl::StatusOr<pb::SyncNowResponse> SyncNow() = 0;
  virtual absl::StatusOr<pb::ListDeadLettersResponse> ListDeadLetters() = 0;

  // Calls `each` for every message until the stream ends (OK without follow), `each` returns false (OK), or Cancel.
  virtual absl::Status Tail(const pb::TailRequest& request, std::function<bool(const pb::TailedEvent&)> each) = 0;
  virtual absl::Status TailRejected(const pb::TailRequest& request,
                                    std::function<bool(const pb::RejectedMessage&)> each) = 0;
  // Ends running tails, and later ones at once, with kCancelled. From any thread.
  virtual void Cancel() = 0;
};

}  // namespace sluice::ctl
