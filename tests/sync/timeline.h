// Virtual time: what is to happen, in its order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace sluice::sync {

// Microseconds. What is due at the same time happens in the order it was asked for.
class Timeline {
 public:
  const ManualClock& clock() const { return clock_; }
  int64_t now() const { return clock_.MonotonicUs(); }
  void At(int64_t at_us, std::function<void()> run) {
    events_.push({std::max(at_us, now()), ++order_, std::move(run)});
  }
  void After(int64_t us, std::function<void()> run) { At(now() + us, std::move(run)); }

  // Does what comes next. False: nothing is left, or it comes later than `until_us`.
  bool Step(int64_t until_us) {
    if (events_.empty() || events_.top().at_us > until_us) return false;
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    clock_.AdvanceUs(event.at_us - now());
    event.run();
    return true;
  }

 private:
  struct Event {
    int64_t at_us;
    uint64_t order;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return at_us != other.at_us ? at_us > other.at_us : order > other.order;
    }
  };
  ManualClock clock_;
  std::priority_queue<Event> events_;
  uint64_t order_ = 0;
};

// Of one seed.
class Dice {
 public:
  explicit Dice(Random& random) : random_(random) {}
  bool Chance(double probability) { return random_.Unit() < probability; }
  uint64_t Below(uint64_t bound) { return random_.Below(bound); }
  int64_t Upto(int64_t us) { return static_cast<int64_t>(random_.Below(static_cast<uint64_t>(us) + 1)); }

 private:
  Random& random_;
};

}  // namespace sluice::sync
