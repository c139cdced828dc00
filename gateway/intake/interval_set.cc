#include "gateway/intake/interval_set.h"

#include <algorithm>

namespace sluice::intake {
namespace {

// The first range that ends at `number` or above.
template <typename Ranges>
auto EndingFrom(Ranges& ranges, uint64_t number) {
  return std::lower_bound(ranges.begin(), ranges.end(), number,
                          [](const IntervalSet::Range& range, uint64_t value) { return range.second < value; });
}

}  // namespace

bool IntervalSet::Contains(uint64_t number) const {
  const auto at = EndingFrom(ranges_, number);
  return at != ranges_.end() && at->first <= number;
}

bool IntervalSet::InsertRange(uint64_t first, uint64_t last) {
  if (!ranges_.empty() && ranges_.back().second < UINT64_MAX && first == ranges_.back().second + 1) {
    ranges_.back().second = last;
    return true;
  }
  // Everything that overlaps [first, last] or touches it becomes one range. `first - 1` finds a neighbour below.
  const auto from = EndingFrom(ranges_, first > 0 ? first - 1 : 0);
  auto to = from;
  while (to != ranges_.end() && (last == UINT64_MAX || to->first <= last + 1)) ++to;
  const auto index = static_cast<size_t>(from - ranges_.begin());
  if (from == to) {
    ranges_.insert(from, {first, last});
    ForgetLowestBut(index);
    return true;
  }
  if (from->first <= first && last <= from->second) return false;
  from->first = std::min(from->first, first);
  from->second = std::max(std::prev(to)->second, last);
  ranges_.erase(from + 1, to);
  return true;
}

void IntervalSet::InsertAll(const IntervalSet& other) {
  for (const auto& [first, last] : other.ranges_) InsertRange(first, last);
}

void IntervalSet::ForgetLowestBut(size_t index) {
  if (ranges_.size() <= max_ranges_) return;
  ranges_.erase(ranges_.begin() + (index == 0 && ranges_.size() > 1 ? 1 : 0));
}

}  // namespace sluice::intake
