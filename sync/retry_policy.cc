#include "sync/retry_policy.h"

#include <algorithm>

namespace sluice::sync {
namespace {

// A hint is a wish, not a way to switch a gateway off.
constexpr int64_t kLongestHintMs = 24 * 3'600'000;

bool RefusedForWhoWeAre(absl::StatusCode code) {
  return code == absl::StatusCode::kPermissionDenied || code == absl::StatusCode::kUnauthenticated;
}

}  // namespace

RetryPolicy::RetryPolicy(RetryOptions options, Random& random)
    : options_(options),
      random_(random),
      backoff_(Backoff::Options{.base_ms = options.base_ms, .factor = 2.0, .cap_ms = options.cap_ms}, random) {}

int64_t RetryPolicy::UniformUs(int64_t low_ms, int64_t high_ms) {
  const int64_t width = std::max<int64_t>(high_ms - low_ms, 0) * 1000;
  return low_ms * 1000 + static_cast<int64_t>(random_.Below(static_cast<uint64_t>(width) + 1));
}

void RetryPolicy::Prompt(int64_t now_us) {
  const int64_t soon = std::max(now_us + UniformUs(0, options_.prompt_ms), not_before_us_);
  next_try_us_ = next_try_us_ > now_us ? std::min(next_try_us_, soon) : soon;
  slow_ = false;
}

void RetryPolicy::Ended(const StreamEnd& end, bool own_link_lost, int64_t now_us) {
  if (end.proved) {
    failures_ = 0;
    backoff_.Reset();
  }
  slow_ = false;
  if (end.hint_ms) {
    not_before_us_ = now_us + std::clamp<int64_t>(*end.hint_ms, 0, kLongestHintMs) * 1000;
    next_try_us_ = not_before_us_;
    ++failures_;
    return;
  }
  not_before_us_ = 0;
  if (end.slow || RefusedForWhoWeAre(end.status.code())) {
    slow_ = true;
    next_try_us_ = now_us + UniformUs(options_.slow_min_ms, options_.slow_max_ms);
  } else if (failures_ == 0 && own_link_lost && end.at_once_allowed) {
    next_try_us_ = now_us + UniformUs(0, options_.prompt_ms);
  } else if (failures_ == 0 && end.proved) {
    next_try_us_ = now_us + UniformUs(0, options_.spread_ms);
  } else {
    next_try_us_ = now_us + backoff_.NextMs() * 1000;
  }
  ++failures_;
}

}  // namespace sluice::sync
