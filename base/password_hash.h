// A password as it is kept: scrypt (RFC 7914) in the PHC string format, $scrypt$ln=14,r=8,p=1$<salt>$<hash>.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/random.h"

namespace sluice {

// N = 2^log_n. One verification takes 128 · r · N bytes: 16 MiB at 14, 1 MiB at 10.
struct ScryptCost {
  int log_n = 14;
  int r = 8;
  int p = 1;

  bool operator==(const ScryptCost&) const = default;
  uint64_t Bytes() const { return 128ull * static_cast<uint64_t>(r) * ((1ull << log_n) + static_cast<uint64_t>(p)); }
};
// For passwords that people choose, and for generated ones, which cannot be guessed (GeneratePassword: 130 bits) and need no
// cost against guessing.
inline constexpr ScryptCost kChosenPasswordCost{.log_n = 14};
inline constexpr ScryptCost kGeneratedPasswordCost{.log_n = 10};

struct PasswordHash {
  ScryptCost cost;
  std::string salt, hash;   // raw bytes: 8–64 and 16–64

  bool operator==(const PasswordHash&) const = default;
  std::string ToString() const;
  // Only what ToString writes: log_n 10–20, r 1–32, p 1–16, at most 64 MiB to verify. InvalidArgument says what is wrong and
  // never repeats what it read.
  static absl::StatusOr<PasswordHash> Parse(std::string_view text);
};

// With a salt of 16 and a hash of 32 bytes. InvalidArgument for an empty password or one with a NUL, which matches nothing
// either; ResourceExhausted without memory.
absl::StatusOr<PasswordHash> HashPassword(std::string_view password, const ScryptCost& cost, Random& random);
// Takes the cost's time and memory; compares in constant time. False also where there is no memory.
bool IsPassword(std::string_view password, const PasswordHash& hash);

// 26 characters of 0-9 a-z without i l o u: 130 bits.
std::string GeneratePassword(Random& random);

}  // namespace sluice
