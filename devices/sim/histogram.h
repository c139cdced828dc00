// Durations, kept well enough for percentiles: buckets of about 3 % of their value. Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace sluice::sim {

class Histogram {
 public:
  // Microseconds; what is negative counts as 0.
  void Add(int64_t us) {
    ++counts_[BucketOf(static_cast<uint64_t>(std::max<int64_t>(us, 0)))];
    ++total_;
    largest_ = std::max(largest_, us);
  }
  uint64_t total() const { return total_; }
  int64_t largest_us() const { return largest_; }
  // What the share of all does not exceed: the upper end of its bucket, or the largest. 0 if there is none.
  int64_t AtUs(double share) const {
    uint64_t left = static_cast<uint64_t>(static_cast<double>(total_) * share);
    for (size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] > left) return std::min(UpperEnd(i), largest_);
      left -= counts_[i];
    }
    return largest_;
  }

 private:
  static constexpr unsigned kSubBits = 5;  // 32 buckets for each doubling
  static constexpr uint64_t kSub = 1U << kSubBits;

  static size_t BucketOf(uint64_t value) {
    if (value < kSub) return static_cast<size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
    return static_cast<size_t>((shift + 1) * kSub + (value >> shift) - kSub);
  }
  static int64_t UpperEnd(size_t bucket) {
    if (bucket < kSub) return static_cast<int64_t>(bucket);
    const uint64_t shift = bucket / kSub - 1;
    return static_cast<int64_t>(((bucket % kSub + kSub + 1) << shift) - 1);
  }

  std::array<uint64_t, (64 - kSubBits + 1) * kSub> counts_{};
  uint64_t total_ = 0;
  int64_t largest_ = 0;
};

}  // namespace sluice::sim
