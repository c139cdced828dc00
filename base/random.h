// Randomness, handed in: the kernel's in a daemon, a seeded one in simulations.
#pragma once

#include <cstdint>
#include <random>
#include <span>

namespace sluice {

// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(std::span<uint8_t> out) = 0;
  // Uniform in [0, bound); 0 for bound 0.
  uint64_t Below(uint64_t bound);
  // Uniform in [0, 1).
  double Unit();
};

// getrandom(2).
class SystemRandom final : public Random {
 public:
  void Fill(std::span<uint8_t> out) override;
};

// Repeatable; for one thread.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}
  void Fill(std::span<uint8_t> out) override;

 private:
  std::mt19937_64 engine_;
};

}  // namespace sluice
