// The simulator's randomness: seeded, repeatable, a few nanoseconds a throw. Not for secrets.
#pragma once

#include <cstdint>

namespace sluice::sim {

// SplitMix64 (Steele, Lea, Flood 2014). For one thread.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // In [0, bound), bound > 0; the bias of the modulo is below anything a demonstration could show.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  bool Chance(double share) { return static_cast<double>(Next() >> 11) * 0x1.0p-53 < share; }

 private:
  uint64_t state_;
};

}  // namespace sluice::sim
