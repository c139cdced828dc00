// The whole edge, put together. The only place that sees every room.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "gateway/config/config.h"

namespace sluice::daemon {

inline constexpr char kVersion[] = "0.1.0";

class Daemon {
 public:
  // Opens the store, recovers what an earlier run left, begins to listen and to deliver. When this returns events are
  // taken, or the sources retry for ever. Whatever lies damaged in the state folder does not keep it from starting, nor does
  // a full disk. Errors: the certificate names nobody; the state folder cannot be made or read, or belongs to a running
  // daemon; another process answers on the control socket. `clock` outlives it.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const config::Config& config, const Clock& clock);
  virtual ~Daemon() = default;   // as Stop

  // What has to be looked at about once a second: clock, warnings. For the main thread.
  virtual void Tick() = 0;
  // Bounded: devices first, then what is owed to them, then the links, then the store.
  virtual void Stop() = 0;
};

}  // namespace sluice::daemon
