// The socket's place in the file system: free it if it is stale, never take it from a living daemon.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace sluice::control {

// Leaves `path` free to be bound. Errors: see ControlServer::Start.
absl::Status FreeSocketPath(const std::string& path);

}  // namespace sluice::control
