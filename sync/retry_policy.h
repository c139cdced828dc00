// When to try a stream again. Pure: time and randomness are handed in; all times are monotonic microseconds.
#pragma once

#include <cstdint>
#include <optional>

#include "base/backoff.h"
#include "base/random.h"
#include "sync/sender.h"

namespace sluice::sync {

// Milliseconds. The figures keep 10,000 gateways that lose a cloud of 500 handshakes/s at 640 tries/s or less.
struct RetryOptions {
  int64_t spread_ms = 60'000;      // the first try after a loss without a hint falls uniformly within
  int64_t base_ms = 16'000;        // then full jitter: below base, 2 × base, 4 × base …
  int64_t cap_ms = 300'000;        // … and never above
  int64_t prompt_ms = 2'000;       // start, link up, sync now: uniformly within
  int64_t slow_min_ms = 300'000;   // refused for who we are, or an alarm: uniformly between
  int64_t slow_max_ms = 900'000;
};

class RetryPolicy {
 public:
  RetryPolicy(RetryOptions options, Random& random);

  // Process start, link up, `sync now`: within prompt_ms, unless a hint or an earlier time says otherwise. Also ends the
  // wait of the slow path: a person or a new link may have mended it.
  void Prompt(int64_t now_us);
  // A stream or a try to open one ended. `own_link_lost`: the gateway's own interface went down.
  void Ended(const StreamEnd& end, bool own_link_lost, int64_t now_us);

  int64_t next_try_us() const { return next_try_us_; }
  bool slow() const { return slow_; }           // waiting on the slow path
  uint64_t failures() const { return failures_; }   // since a stream last proved itself

 private:
  int64_t UniformUs(int64_t low_ms, int64_t high_ms);

  const RetryOptions options_;
  Random& random_;
  Backoff backoff_;
  int64_t next_try_us_ = 0;
  int64_t not_before_us_ = 0;   // the server's hint
  uint64_t failures_ = 0;
  bool slow_ = false;
};

}  // namespace sluice::sync
