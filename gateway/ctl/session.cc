#include "gateway/ctl/session.h"

#include <sstream>

#include "base/strings.h"
#include "gateway/ctl/escape.h"
#include "gateway/ctl/exit_code.h"

namespace sluice::ctl {

int Fail(const Session& session, const absl::Status& status) {
  session.out.flush();
  // Our own messages have lines; what came from outside must not bring terminal commands with it.
  std::istringstream lines{std::string(MessageOf(status))};
  bool first = true;
  for (std::string line; std::getline(lines, line); first = false) {
    session.err << (first ? "sluicectl: " : "  ") << EscapeForTerminal(line) << '\n';
  }
  session.err.flush();
  return ExitCodeOf(status);
}

}  // namespace sluice::ctl
