// How many publishes may come: a token bucket. Pure: time is handed in.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace sluice::transport {

// For one thread. Monotonic milliseconds that never go back. per_second 0: there is no limit.
class MqttRate {
 public:
  // Full at the beginning. A burst below 1 is 1.
  MqttRate(double per_second, double burst, int64_t now_ms)
      : per_second_(per_second), burst_(std::max(burst, 1.0)), tokens_(burst_), since_ms_(now_ms) {}

  // When one may come: now_ms or later.
  int64_t NextMs(int64_t now_ms) {
    if (per_second_ <= 0) return now_ms;
    tokens_ = std::min(burst_, tokens_ + static_cast<double>(now_ms - since_ms_) / 1000 * per_second_);
    since_ms_ = now_ms;
    return tokens_ >= 1 ? now_ms : now_ms + 1 + static_cast<int64_t>(std::ceil((1 - tokens_) / per_second_ * 1000));
  }
  void Take() { tokens_ -= per_second_ > 0 ? 1 : 0; }

 private:
  double per_second_, burst_, tokens_;
  int64_t since_ms_;
};

}  // namespace sluice::transport
