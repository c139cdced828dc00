// Delivery rule R8 as a function: which items of a batch take effect, given the cursor. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/item.h"

namespace sluice::ingest {

// Numbers above this are refused: what stands this near 2^64 was not counted (case 37).
inline constexpr uint64_t kMaxNumber = uint64_t{1} << 62;

enum class Verdict {
  kSkip,     // last <= cursor: took effect before
  kAccept,   // first <= cursor + 1 <= last: comes next. Of a gap only what lies above the cursor is lost now
  kStop,     // something is missing before it
};

// `first` >= 1 and `first` <= `last`.
Verdict Decide(uint64_t cursor, uint64_t first, uint64_t last);

// Of a contiguous, ascending batch: the first `skip` items, then `accept` that take effect, then, if they are not all, one
// that cannot come yet.
struct Plan {
  size_t skip = 0;
  size_t accept = 0;
  uint64_t cursor = 0;     // after the accepted ones
  uint64_t expected = 0;   // 0: nothing stopped it; otherwise the number that has to come first
};

Plan PlanBatch(uint64_t cursor, std::span<const Item> items);

}  // namespace sluice::ingest
