#include "base/fail_point.h"

#if defined(SLUICE_FAIL_POINTS)

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>

namespace sluice {
namespace {

struct Armed {
  std::string name;
  std::atomic<long> left{0};

  Armed() {
    const char* setting = std::getenv("SLUICE_FAIL_POINT");
    if (setting == nullptr) return;
    const std::string text(setting);
    const size_t colon = text.find(':');
    name = text.substr(0, colon);
    left = colon == std::string::npos ? 1 : std::atol(text.c_str() + colon + 1);
  }
};

}  // namespace

void HitFailPoint(const char* name) {
  static Armed armed;
  if (armed.name.empty() || armed.name != name) return;
  if (--armed.left == 0) kill(getpid(), SIGKILL);
}

}  // namespace sluice

#endif
