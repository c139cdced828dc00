#include "base/clock.h"

#include <ctime>

namespace sluice {
namespace {

int64_t ReadNs(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

int64_t SystemClock::WallMs() const { return ReadNs(CLOCK_REALTIME) / 1'000'000; }
int64_t SystemClock::MonotonicUs() const { return ReadNs(CLOCK_MONOTONIC) / 1'000; }
int64_t SystemClock::BootMs() const { return ReadNs(CLOCK_BOOTTIME) / 1'000'000; }

}  // namespace sluice
