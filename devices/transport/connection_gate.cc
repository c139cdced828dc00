#include "devices/transport/connection_gate.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace sluice::transport {

std::string AddressKey(const uint8_t* bytes, size_t size) {
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};   // RFC 4291, 2.5.5.2
  if (size == 16 && std::equal(kMapped, kMapped + 12, bytes)) {
    bytes += 12;
    size = 4;
  }
  if (size == 4) return StrCat(int{bytes[0]}, ".", int{bytes[1]}, ".", int{bytes[2]}, ".", int{bytes[3]});
  static constexpr char kHex[] = "0123456789abcdef";
  std::string key;
  for (size_t i = 0; i < std::min<size_t>(size, 8); ++i) {
    if (i > 0 && i % 2 == 0) key += ':';
    key += kHex[bytes[i] >> 4];
    key += kHex[bytes[i] & 15];
  }
  return key + "::/64";
}

void ConnectionGate::Refill(int64_t now_ms) {
  if (refilled_ms_ != INT64_MIN) {
    const double more = static_cast<double>(now_ms - refilled_ms_) * limits_.per_second / 1000.0;
    tokens_ = std::min(tokens_ + more, std::max(limits_.per_second, 1.0));
  }
  refilled_ms_ = now_ms;
}

int64_t ConnectionGate::NextAcceptMs(int64_t now_ms) {
  if (half_open_ >= limits_.half_open) return INT64_MAX;
  Refill(now_ms);
  if (tokens_ >= 1) return now_ms;
  return now_ms + static_cast<int64_t>(std::ceil((1 - tokens_) * 1000.0 / limits_.per_second));
}

Admission ConnectionGate::Admit(const std::string& address, int64_t now_ms) {
  Refill(now_ms);
  tokens_ -= 1;
  if (open_ >= limits_.total) return Admission::kTooMany;
  const auto known = by_address_.find(address);
  if (known != by_address_.end()) {
    if (known->second.open >= limits_.per_address) return Admission::kTooManyFromAddress;
    if (known->second.half_open >= limits_.half_open_per_address) return Admission::kTooManyHalfOpenFromAddress;
  }
  Count& count = known != by_address_.end() ? known->second : by_address_[address];
  ++count.open;
  ++count.half_open;
  ++open_;
  ++half_open_;
  return Admission::kYes;
}

void ConnectionGate::Settled(const std::string& address) {
  --by_address_[address].half_open;
  --half_open_;
}

void ConnectionGate::Gone(const std::string& address, bool was_half_open) {
  if (was_half_open) Settled(address);
  --open_;
  const auto at = by_address_.find(address);
  if (--at->second.open == 0) by_address_.erase(at);
}

double FailureBackoff::CountAt(const Failures& failures, int64_t now_ms) const {
  const double forgiven = static_cast<double>(now_ms - failures.since_ms) / static_cast<double>(options_.forgive_ms);
  return std::max(0.0, failures.count - forgiven);
}

void FailureBackoff::Failed(const std::string& address, int64_t now_ms) {
  if (failures_.size() >= kAddresses && !failures_.contains(address)) ForgetSome(now_ms);
  Failures& failures = failures_[address];
  failures.count = CountAt(failures, now_ms) + 1;
  failures.since_ms = now_ms;
  const double beyond = std::round(failures.count) - options_.free;   // what was forgiven within a moment is none
  if (beyond <= 0) return;
  const double wait = static_cast<double>(options_.first_ms) * std::exp2(std::min(beyond - 1, 30.0));
  failures.until_ms = now_ms + static_cast<int64_t>(std::min(wait, static_cast<double>(options_.most_ms)));
}

bool FailureBackoff::MustWait(const std::string& address, int64_t now_ms) const {
  const auto at = failures_.find(address);
  return at != failures_.end() && now_ms < at->second.until_ms;
}

void FailureBackoff::ForgetSome(int64_t now_ms) {
  std::vector<std::pair<double, std::string>> least;
  for (const auto& [address, failures] : failures_) least.emplace_back(CountAt(failures, now_ms), address);
  const size_t some = std::max<size_t>(failures_.size() / 8, 1);
  std::nth_element(least.begin(), least.begin() + static_cast<ptrdiff_t>(some), least.end());
  for (size_t i = 0; i < some; ++i) failures_.erase(least[i].second);
}

}  // namespace sluice::transport
