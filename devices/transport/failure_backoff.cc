#include "devices/transport/failure_backoff.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace sluice::transport {

double FailureBackoff::CountAt(const Failures& failures, int64_t now_ms) const {
  const double forgiven = static_cast<double>(now_ms - failures.since_ms) / static_cast<double>(options_.forgive_ms);
  return std::max(0.0, failures.count - forgiven);
}

void FailureBackoff::Failed(const std::string& address, std::string_view user, int64_t now_ms) {
  const std::string key = StrCat(address, " ", user);
  if (failures_.size() >= kEntries && !failures_.contains(key)) ForgetSome(now_ms);
  Failures& failures = failures_[key];
  failures.count = CountAt(failures, now_ms) + 1;
  failures.since_ms = now_ms;
  const double beyond = std::round(failures.count) - options_.free;   // what was forgiven within a moment is none
  if (beyond <= 0) return;
  const double wait = static_cast<double>(options_.first_ms) * std::exp2(std::min(beyond - 1, 30.0));
  failures.until_ms = now_ms + static_cast<int64_t>(std::min(wait, static_cast<double>(options_.most_ms)));
}

bool FailureBackoff::MustWait(const std::string& address, std::string_view user, int64_t now_ms) const {
  const auto at = failures_.find(StrCat(address, " ", user));
  return at != failures_.end() && now_ms < at->second.until_ms;
}

void FailureBackoff::ForgetSome(int64_t now_ms) {
  std::vector<std::pair<double, std::string>> least;
  for (const auto& [key, failures] : failures_) least.emplace_back(CountAt(failures, now_ms), key);
  const size_t some = std::max<size_t>(failures_.size() / 8, 1);
  std::nth_element(least.begin(), least.begin() + static_cast<ptrdiff_t>(some), least.end());
  for (size_t i = 0; i < some; ++i) failures_.erase(least[i].second);
}

}  // namespace sluice::transport
