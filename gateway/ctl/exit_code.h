// What sluicectl's exit code means. Part of its interface: scripts depend on it (see sluicectl.1).
#pragma once

#include "absl/status/status.h"

namespace sluice::ctl {

enum ExitCode : int {
  kOk = 0,
  kProblemFound = 1,   // the daemon or a service answered, and something is wrong or was not found
  kUsage = 2,
  kUnreachable = 3,    // no answer
};

inline ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kInvalidArgument:
      return kUsage;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return kUnreachable;
    default:
      return kProblemFound;
  }
}

}  // namespace sluice::ctl
