// Whether the gateway's wall clock can be believed, and since when (delivery rule R13, cases 19 and 20).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/item.h"
#include "sluice/event/v1/event.pb.h"

namespace sluice::intake {

// The kernel's id of this boot (/proc/sys/kernel/random/boot_id).
absl::StatusOr<Id128> ReadBootId();
// Whether the kernel's clock is disciplined: adjtimex(2) without STA_UNSYNC. False where the call is not allowed.
bool KernelClockIsSynced();

// Thread-safe; Poll from one thread at a time.
class ClockWatch {
 public:
  // `floor_ms`: a time that has certainly passed (the build's, or the newest that was saved): a wall clock below it was
  // never set since boot. `synced` is asked at each Poll.
  ClockWatch(const Clock& clock, Id128 boot_id, int64_t floor_ms, std::function<bool()> synced);

  // As of the last Poll; unset before the first.
  event::v1::ClockState state() const { return state_.load(std::memory_order_relaxed); }
  const Id128& boot_id() const { return boot_id_; }

  // An earlier run in this boot stamped events with a clock in this state: if ours is better, the first Poll says so.
  void SawEarlier(event::v1::ClockState state);

  // Looks again; call about once a second. Returns a fix when events of this boot, stamped before, need one: the state is
  // better than the worst that was in use since the last fix, or a synced clock was stepped by more than a second.
  std::optional<event::v1::ClockFix> Poll();

 private:
  const Clock& clock_;
  const Id128 boot_id_;
  const int64_t floor_ms_;
  const std::function<bool()> synced_;
  std::atomic<event::v1::ClockState> state_{event::v1::CLOCK_STATE_UNSET};

  // For the polling thread.
  std::optional<event::v1::ClockState> worst_;   // in use since the last fix
  int64_t offset_ms_ = 0;                        // wall - boot time, at the last Poll
};

}  // namespace sluice::intake
