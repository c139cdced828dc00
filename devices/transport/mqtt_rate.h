// When publishes may come: a token bucket whose tokens are promised in turn. Pure: time is handed in.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace sluice::transport {

// For one thread. Monotonic milliseconds that never go back. per_second 0: there is no limit.
//
// Who asks gets the next time that nobody else has: a line, in which a client that asks again stands behind all that wait, and
// each is woken once for each publish.
class MqttRate {
 public:
  // A burst below 1 is 1.
  MqttRate(double per_second, double burst)
      : every_ms_(per_second > 0 ? 1000 / per_second : 0), ahead_ms_((std::max(burst, 1.0) - 1) * every_ms_) {}

  // One publish may come at this time: now_ms or later. It is the asker's, also if it never comes.
  int64_t Reserve(int64_t now_ms) {
    if (every_ms_ <= 0) return now_ms;
    const auto now = static_cast<double>(now_ms);
    full_at_ms_ = std::max(full_at_ms_, now) + every_ms_;
    return std::max(now_ms, static_cast<int64_t>(std::ceil(full_at_ms_ - every_ms_ - ahead_ms_)));
  }

 private:
  double every_ms_, ahead_ms_;
  double full_at_ms_ = 0;   // when all tokens are back, if nobody asks again (GCRA, ITU-T I.371 annex A)
};

}  // namespace sluice::transport
