#include "devices/transport/address_budget.h"

#include <algorithm>
#include <cmath>

namespace sluice::transport {

AddressBudget::AddressBudget(double per_second, double burst) : per_second_(per_second), burst_(std::max(burst, 1.0)) {}

double AddressBudget::TokensAt(const Bucket& bucket, int64_t now_ms) const {
  return std::min(bucket.tokens + static_cast<double>(now_ms - bucket.since_ms) * per_second_ / 1000.0, burst_);
}

int64_t AddressBudget::NextMs(const std::string& address, int64_t now_ms) const {
  const auto at = by_address_.find(address);
  if (at == by_address_.end()) return now_ms;
  const double missing = 1 - TokensAt(*at->second, now_ms);
  if (missing < 1e-9) return now_ms;   // what is missing by rounding is not missing
  return now_ms + static_cast<int64_t>(std::ceil(missing * 1000.0 / per_second_));
}

void AddressBudget::Take(const std::string& address, int64_t now_ms) {
  const auto at = by_address_.find(address);
  if (at != by_address_.end()) {
    Bucket& bucket = *at->second;
    bucket.tokens = TokensAt(bucket, now_ms) - 1;
    bucket.since_ms = now_ms;
    buckets_.splice(buckets_.begin(), buckets_, at->second);
    return;
  }
  if (by_address_.size() >= kAddresses) {
    by_address_.erase(buckets_.back().address);
    buckets_.pop_back();
  }
  buckets_.push_front({address, burst_ - 1, now_ms});
  by_address_[buckets_.front().address] = buckets_.begin();
}

void AddressBudget::GiveBack(const std::string& address) {
  const auto at = by_address_.find(address);
  if (at != by_address_.end()) at->second->tokens = std::min(at->second->tokens + 1, burst_);
}

}  // namespace sluice::transport
