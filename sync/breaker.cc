#include "sync/breaker.h"

#include <algorithm>
#include <bit>

namespace sluice::sync {
namespace {

BreakerOptions Bounded(BreakerOptions options) {
  options.window = std::clamp(options.window, 1, 63);
  return options;
}

bool SpeaksAgainstTheService(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kDeadlineExceeded ||
         code == absl::StatusCode::kInternal;
}

}  // namespace

Breaker::Breaker(BreakerOptions options, Random& random) : options_(Bounded(options)), random_(random) {}

bool Breaker::Allow(int64_t now_us) {
  if (state_ == State::kOpen && now_us >= open_until_us_) state_ = State::kHalfOpen;
  switch (state_) {
    case State::kClosed: return true;
    case State::kOpen: return false;
    case State::kHalfOpen: break;
  }
  if (probing_) return false;
  probing_ = true;
  return true;
}

void Breaker::Record(const absl::Status& status, int64_t now_us) {
  const bool failed = SpeaksAgainstTheService(status.code());
  switch (state_) {
    case State::kOpen:
      return;  // a call that was under way when it opened
    case State::kHalfOpen:
      failed ? Open(now_us) : Close();
      return;
    case State::kClosed:
      break;
  }
  in_a_row_ = failed ? in_a_row_ + 1 : 0;
  recent_ = (recent_ << 1 | (failed ? 1u : 0u)) & ((uint64_t{1} << options_.window) - 1);
  recent_count_ = std::min(recent_count_ + 1, options_.window);
  const bool too_many = recent_count_ == options_.window &&
                        std::popcount(recent_) >= options_.window_failures * static_cast<double>(options_.window);
  if (failed && (in_a_row_ >= options_.failures_in_a_row || too_many)) Open(now_us);
}

void Breaker::Open(int64_t now_us) {
  state_ = State::kOpen;
  probing_ = false;
  ++opens_;
  open_until_us_ = now_us + static_cast<int64_t>(static_cast<double>(options_.open_ms) * 1000 * (0.5 + random_.Unit()));
}

void Breaker::Close() {
  state_ = State::kClosed;
  probing_ = false;
  in_a_row_ = 0;
  recent_ = 0;
  recent_count_ = 0;
}

}  // namespace sluice::sync
