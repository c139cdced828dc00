// From when to when a certificate is valid, and what to say where this machine's clock stands outside. Pure.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace sluice::sync {

// Unix ms, both included. Unbounded where the certificate does not say.
struct Validity {
  int64_t not_before_ms = std::numeric_limits<int64_t>::min();
  int64_t not_after_ms = std::numeric_limits<int64_t>::max();
};

// 2026-11-21T09:30:00Z. A year beyond 9999 has more digits, one before 0 a sign.
std::string UtcText(int64_t unix_ms);

// Which date a handshake trips over, and what the clock says, for either may be wrong: a box without a battery starts in
// 1970. `what` names the certificate. Empty where `now_ms` lies within.
std::string ClockComplaint(std::string_view what, const Validity& validity, int64_t now_ms);

}  // namespace sluice::sync
