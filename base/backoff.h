// Exponential backoff with full jitter: the n-th delay is uniform in [0, min(cap, base * factor^n)).
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/random.h"

namespace sluice {

// Pure but for the randomness handed in. Milliseconds.
class Backoff {
 public:
  struct Options {
    int64_t base_ms = 1000;
    double factor = 2.0;
    int64_t cap_ms = 10'000;
  };

  Backoff(Options options, Random& random) : options_(options), random_(random) {}

  int64_t NextMs() {
    const auto bound = static_cast<int64_t>(std::min<double>(ceiling_, static_cast<double>(options_.cap_ms)));
    ceiling_ = std::min(ceiling_ * options_.factor, static_cast<double>(options_.cap_ms));
    return static_cast<int64_t>(random_.Below(static_cast<uint64_t>(std::max<int64_t>(bound, 1))));
  }
  void Reset() { ceiling_ = static_cast<double>(options_.base_ms); }

 private:
  const Options options_;
  Random& random_;
  double ceiling_ = static_cast<double>(options_.base_ms);
};

}  // namespace sluice
