#include "devices/transport/connection_gate.h"

#include <algorithm>
#include <cmath>

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
  Refill(now_ms);
  if (tokens_ >= 1) return now_ms;
  return now_ms + static_cast<int64_t>(std::ceil((1 - tokens_) * 1000.0 / limits_.per_second));
}

Admission ConnectionGate::Admit(uint64_t id, const std::string& address, int64_t now_ms) {
  const auto known = by_address_.find(address);
  if (known != by_address_.end()) {
    if (known->second.open >= limits_.per_address) return Admission::kTooManyFromAddress;
    if (known->second.half_open.size() >= limits_.half_open_per_address) return Admission::kTooManyHalfOpenFromAddress;
  }
  if (pace_.NextMs(address, now_ms) > now_ms) return Admission::kTooFastFromAddress;
  if (open_ >= limits_.total) return Admission::kTooMany;
  pace_.Take(address, now_ms);
  Refill(now_ms);
  tokens_ -= 1;
  Count& count = known != by_address_.end() ? known->second : by_address_[address];
  ++count.open;
  count.half_open.push_back(id);
  ++open_;
  ++half_open_;
  return Admission::kYes;
}

uint64_t ConnectionGate::ToEvict() const {
  if (half_open_ <= limits_.half_open) return 0;
  const std::deque<uint64_t>* most = nullptr;
  for (const auto& [address, count] : by_address_) {
    const std::deque<uint64_t>& ids = count.half_open;
    if (ids.empty()) continue;
    if (most == nullptr || ids.size() > most->size() || (ids.size() == most->size() && ids.front() < most->front())) most = &ids;
  }
  return most == nullptr ? 0 : most->front();
}

void ConnectionGate::Settled(uint64_t id, const std::string& address) {
  std::erase(by_address_[address].half_open, id);
  --half_open_;
}

void ConnectionGate::Gone(uint64_t id, const std::string& address, bool was_half_open) {
  if (was_half_open) Settled(id, address);
  --open_;
  const auto at = by_address_.find(address);
  if (--at->second.open == 0) by_address_.erase(at);
}

}  // namespace sluice::transport
