// Who else wants our lease: refusals and losses, as one sender sees them. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

namespace sluice::sync {

// A box opens a stream only when its last one is over, so that a stream of its own never takes the lease from one that
// stands; only a Hello that was under way for long may, once. Who loses it again and again has a twin that runs under the
// same epoch: a virtual machine that was started twice.
class LeaseWatch {
 public:
  static constexpr size_t kLossesOfATwin = 3;
  static constexpr int64_t kWithinUs = 600'000'000;

  // A stream was welcomed: the lease is ours.
  void Held() { refused_ = false; }
  // Another box has it. True: for the first time since it was ours.
  bool Refused() {
    const bool first = !refused_;
    refused_ = true;
    return first;
  }
  // A stream ended because its lease was taken. True: there is a twin. Counts anew from there.
  bool Lost(int64_t now_us) {
    losses_.push_back(now_us);
    while (now_us - losses_.front() > kWithinUs) losses_.pop_front();
    if (losses_.size() < kLossesOfATwin) return false;
    losses_.clear();
    return true;
  }

 private:
  bool refused_ = false;
  std::deque<int64_t> losses_;   // monotonic
};

}  // namespace sluice::sync
