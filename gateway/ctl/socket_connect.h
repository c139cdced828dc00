// Opens the daemon's socket and, where that fails, says what is wrong and what to do.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace sluice::ctl {

// A connected, non-blocking socket. Every error is kUnavailable, with a message of several lines for people.
absl::StatusOr<UniqueFd> ConnectSocket(const std::string& path);

}  // namespace sluice::ctl
