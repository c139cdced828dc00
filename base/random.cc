#include "base/random.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace sluice {

uint64_t Random::Below(uint64_t bound) {
  if (bound == 0) return 0;
  // Rejection keeps it uniform for bounds that do not divide 2^64.
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  uint64_t value;
  do {
    std::array<uint8_t, 8> raw;
    Fill(raw);
    std::memcpy(&value, raw.data(), sizeof value);
  } while (value >= limit);
  return value % bound;
}

double Random::Unit() { return static_cast<double>(Below(uint64_t{1} << 53)) / static_cast<double>(uint64_t{1} << 53); }

void SystemRandom::Fill(std::span<uint8_t> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = getrandom(out.data() + done, out.size() - done, 0);
    if (got < 0 && errno != EINTR) std::abort();  // no entropy: nothing here may go on with guessable numbers
    if (got > 0) done += static_cast<size_t>(got);
  }
}

void SeededRandom::Fill(std::span<uint8_t> out) {
  for (size_t at = 0; at < out.size(); at += 8) {
    const uint64_t value = engine_();
    std::memcpy(out.data() + at, &value, std::min<size_t>(8, out.size() - at));
  }
}

}  // namespace sluice
