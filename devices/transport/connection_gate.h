// Who may connect now: how many at once, from one address, half open, and how fast. Pure: time is handed in.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"

namespace sluice::transport {

// "10.0.0.7" stays; of an IPv6 address its /64, which one household or shop has to itself; an IPv4 address in IPv6's clothes
// is the IPv4 address. The bytes are in network order: 4 or 16.
std::string AddressKey(const uint8_t* bytes, size_t size);

struct ConnectionLimits {
  size_t total = 512;
  size_t per_address = 64;
  size_t half_open = 64;              // connected, nothing useful said yet: handshakes under way among them
  size_t half_open_per_address = 16;
  double per_second = 100;            // new ones, sustained; a second's worth may come at once
};

enum class Admission {
  kYes,
  kTooMany,
  kTooManyFromAddress,
  kTooManyHalfOpenFromAddress,
};

// For one thread. Monotonic milliseconds.
class ConnectionGate {
 public:
  explicit ConnectionGate(const ConnectionLimits& limits) : limits_(limits), tokens_(limits.per_second) {}

  // When the next one may be accepted at all: now_ms or before, later, or INT64_MAX: when a half-open one has come to an end.
  // Meanwhile the kernel keeps them waiting, which costs us nothing.
  int64_t NextAcceptMs(int64_t now_ms);
  // One was accepted: kYes counts it as half open until Settled or Gone; otherwise it is to be closed and is not counted.
  Admission Admit(const std::string& address, int64_t now_ms);
  void Settled(const std::string& address);
  void Gone(const std::string& address, bool was_half_open);

  size_t open() const { return open_; }
  size_t half_open() const { return half_open_; }

 private:
  struct Count {
    size_t open = 0, half_open = 0;
  };
  void Refill(int64_t now_ms);

  const ConnectionLimits limits_;
  double tokens_;
  int64_t refilled_ms_ = INT64_MIN;
  size_t open_ = 0, half_open_ = 0;
  absl::flat_hash_map<std::string, Count> by_address_;   // only those with a connection
};

}  // namespace sluice::transport
