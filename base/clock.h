// Time as the gateway knows it. Handed in everywhere, so that tests turn it by hand.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Unix milliseconds. May be wrong and may jump: never order, expire or retry by it (delivery rule R13).
  virtual int64_t WallMs() const = 0;
  // CLOCK_MONOTONIC in microseconds: timeouts, backoff, figures.
  virtual int64_t MonotonicUs() const = 0;
  // CLOCK_BOOTTIME in milliseconds: goes on through suspend.
  virtual int64_t BootMs() const = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t WallMs() const override;
  int64_t MonotonicUs() const override;
  int64_t BootMs() const override;
};

// Stands still until advanced.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t wall_ms = 1'700'000'000'000) : wall_ms_(wall_ms) {}
  int64_t WallMs() const override { return wall_ms_; }
  int64_t MonotonicUs() const override { return monotonic_us_; }
  int64_t BootMs() const override { return monotonic_us_ / 1000; }
  void AdvanceUs(int64_t us) {
    monotonic_us_ += us;
    wall_ms_ += us / 1000;
  }
  void AdvanceMs(int64_t ms) { AdvanceUs(ms * 1000); }
  void JumpWallMs(int64_t by) { wall_ms_ += by; }

 private:
  std::atomic<int64_t> wall_ms_;
  std::atomic<int64_t> monotonic_us_{0};
};

}  // namespace sluice
