// A set of numbers as closed ranges: what a device's numbering boils down to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace sluice::intake {

// Ascending, disjoint, not adjacent: {1,2,3,7} is [1,3] [7,7]. Not thread-safe.
//
// Bounded: never more than `max_ranges`. When an insertion would make one more, the lowest range that the insertion did
// not touch is forgotten. Forgetting is always safe here: a forgotten number that comes again is accepted again under the
// same event id, and the cloud gives it no second effect (delivery rule R2). Joining two ranges over the hole between
// them would not be: a late number in the hole would be taken for a duplicate and be lost.
class IntervalSet {
 public:
  using Range = std::pair<uint64_t, uint64_t>;
  static constexpr size_t kMaxRanges = 256;

  IntervalSet() = default;
  explicit IntervalSet(size_t max_ranges) : max_ranges_(max_ranges) {}

  bool Contains(uint64_t number) const;
  // True if it was not in the set before. Constant time at the upper end, which is where nearly all numbers come.
  bool Insert(uint64_t number) { return InsertRange(number, number); }
  // first <= last. True if anything of it was not in the set before.
  bool InsertRange(uint64_t first, uint64_t last);
  void InsertAll(const IntervalSet& other);

  bool empty() const { return ranges_.empty(); }
  // The highest number; 0 when empty.
  uint64_t highest() const { return ranges_.empty() ? 0 : ranges_.back().second; }
  const std::vector<Range>& ranges() const { return ranges_; }
  bool operator==(const IntervalSet& other) const { return ranges_ == other.ranges_; }

 private:
  void ForgetLowestBut(size_t index);

  size_t max_ranges_ = kMaxRanges;
  std::vector<Range> ranges_;
};

}  // namespace sluice::intake
