// Serves sluice.control.v1.Control on a Unix socket. Who may connect is decided by the socket file's mode and group.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/control/control_source.h"

namespace sluice::control {

struct Options {
  std::string socket_path = "/run/sluice/control.sock";   // at most 107 bytes (sockaddr_un); its folder must exist
  int mode = 0660;
  size_t max_streams = 32;                                // tails at once; more are refused with RESOURCE_EXHAUSTED
  std::chrono::milliseconds stop_grace{1000};             // how long Stop waits for clients before it cuts them off
};

class ControlServer {
 public:
  // Listens when this returns. `source` must outlive the server. A socket file that nobody answers on is replaced.
  // AlreadyExists: another process answers on it. FailedPrecondition: something else than a socket lies there.
  // NotFound: no such folder.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(const Options& options, ControlSource& source);

  virtual ~ControlServer() = default;   // stops
  // Ends every stream with UNAVAILABLE, closes and removes the socket. Takes at most stop_grace and the longest running
  // call of the source. May be called twice.
  virtual void Stop() = 0;
};

}  // namespace sluice::control
