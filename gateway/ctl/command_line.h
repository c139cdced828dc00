// sluicectl's arguments: parses them and runs the command.
#pragma once

#include <ostream>

namespace sluice::ctl {

// argv as main gets it. Returns the exit code (exit_code.h).
int RunCommandLine(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace sluice::ctl
