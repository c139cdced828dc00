// What every command needs to know of its surroundings.
#pragma once

#include <ostream>
#include <string>

#include "absl/status/status.h"

namespace sluice::ctl {

struct Session {
  std::string socket_path;
  bool json = false;
  std::ostream& out;
  std::ostream& err;
};

// Writes "sluicectl: <message>" to err and says with which code to end (exit_code.h).
int Fail(const Session& session, const absl::Status& status);

}  // namespace sluice::ctl
