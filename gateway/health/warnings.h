// What is not as it should be right now, with what to do about it.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "gateway/health/counters.h"

namespace sluice::health {

struct Warning {
  std::string code;      // snake_case, stable: disk_almost_full, clock_unset
  std::string text;      // for people: what is wrong and what helps
  int64_t since_ms = 0;  // Unix ms by the gateway's clock when it was raised
};

// Thread-safe.
class Warnings {
 public:
  // Each raising of a code that did not stand counts in the counter `warning_<code>`.
  Warnings(const Clock& clock, Counters& counters) : clock_(clock), counters_(counters) {}

  // A code that stands keeps its `since` and takes the new text. True if it did not stand: the moment to log it.
  bool Raise(std::string_view code, std::string_view text);
  // True if it stood.
  bool Clear(std::string_view code);
  // Raise or Clear, by `wrong`.
  bool Set(std::string_view code, bool wrong, std::string_view text) { return wrong ? Raise(code, text) : Clear(code); }

  // By code.
  std::vector<Warning> List() const;
  bool Stands(std::string_view code) const;

 private:
  const Clock& clock_;
  Counters& counters_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, Warning, std::less<>> standing_;
};

}  // namespace sluice::health
