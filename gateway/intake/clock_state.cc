#include "gateway/intake/clock_state.h"

#include <sys/timex.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/status.h"

namespace sluice::intake {
namespace {

constexpr int64_t kStepMs = 1000;

}  // namespace

absl::StatusOr<Id128> ReadBootId() {
  const std::string path = "/proc/sys/kernel/random/boot_id";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 64));
  if (const auto id = Id128::Parse(std::string_view(text).substr(0, 36))) return *id;
  return absl::DataLossError(StrCat(path, ": not a UUID"));
}

bool KernelClockIsSynced() {
  timex state{};
  return adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

ClockWatch::ClockWatch(const Clock& clock, Id128 boot_id, int64_t floor_ms, std::function<bool()> synced)
    : clock_(clock), boot_id_(boot_id), floor_ms_(floor_ms), synced_(std::move(synced)) {}

void ClockWatch::SawEarlier(event::v1::ClockState state) { worst_ = worst_ ? std::min(*worst_, state) : state; }

std::optional<event::v1::ClockFix> ClockWatch::Poll() {
  const int64_t wall_ms = clock_.WallMs(), boot_ms = clock_.BootMs();
  const int64_t offset_ms = wall_ms - boot_ms;
  event::v1::ClockState now = event::v1::CLOCK_STATE_HELD;
  if (wall_ms < floor_ms_) {
    now = event::v1::CLOCK_STATE_UNSET;
  } else if (synced_()) {
    now = event::v1::CLOCK_STATE_SYNCED;
  }
  const bool stepped = now == event::v1::CLOCK_STATE_SYNCED && state() == event::v1::CLOCK_STATE_SYNCED &&
                       std::abs(offset_ms - offset_ms_) > kStepMs;
  const bool better = worst_ && now > *worst_;
  state_.store(now, std::memory_order_relaxed);
  offset_ms_ = offset_ms;
  if (!better && !stepped) {
    worst_ = worst_ ? std::min(*worst_, now) : now;
    return std::nullopt;
  }
  worst_ = now;
  event::v1::ClockFix fix;
  fix.set_boot_id(std::string(boot_id_.View()));
  fix.set_offset_ms(offset_ms);
  fix.set_quality(now);
  return fix;
}

}  // namespace sluice::intake
