// Keeps unary calls away from a service that is failing. Streams have their retry policy; the breaker never drops an event.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "base/random.h"

namespace sluice::sync {

struct BreakerOptions {
  int failures_in_a_row = 5;      // open it
  int window = 20;                // so does …
  double window_failures = 0.5;   // … this part of the last `window` calls, once there were as many
  int64_t open_ms = 30'000;       // times 0.5 to 1.5
};

// Pure: monotonic microseconds and randomness are handed in. For one thread.
class Breaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };

  Breaker(BreakerOptions options, Random& random);

  // May a call be made now? In the half-open state only one at a time, the probe; its Record decides.
  bool Allow(int64_t now_us);
  // How an allowed call went. Only UNAVAILABLE, DEADLINE_EXCEEDED and INTERNAL speak against the service; any other answer
  // shows that it works.
  void Record(const absl::Status& status, int64_t now_us);

  State state() const { return state_; }
  int64_t opens() const { return opens_; }

 private:
  void Open(int64_t now_us);
  void Close();

  const BreakerOptions options_;
  Random& random_;
  State state_ = State::kClosed;
  bool probing_ = false;
  int in_a_row_ = 0;
  uint64_t recent_ = 0;     // a bit per call, the newest lowest: 1 failed
  int recent_count_ = 0;
  int64_t open_until_us_ = 0;
  int64_t opens_ = 0;
};

}  // namespace sluice::sync
