// Who may connect now: how many at once, from one address, half open, and how fast. Pure: time is handed in.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "devices/transport/address_budget.h"

namespace sluice::transport {

// "10.0.0.7" stays; of an IPv6 address its /64, which one household or shop has to itself; an IPv4 address in IPv6's clothes
// is the IPv4 address. The bytes are in network order: 4 or 16.
std::string AddressKey(const uint8_t* bytes, size_t size);

struct ConnectionLimits {
  size_t total = 512;
  size_t per_address = 64;
  size_t half_open = 64;              // connected, nothing useful said yet: handshakes under way among them
  size_t half_open_per_address = 16;
  // New ones, sustained; a second's worth may come at once. An address gets a quarter of it, and half a second's worth at once,
  // so that the most eager one leaves time for the others.
  double per_second = 100;
};

enum class Admission {
  kYes,
  kTooMany,
  kTooManyFromAddress,
  kTooManyHalfOpenFromAddress,
  kTooFastFromAddress,
};

// For one thread. Monotonic milliseconds. Only who comes in counts for the pace: one that its address's limits turn away takes
// nobody's turn.
class ConnectionGate {
 public:
  explicit ConnectionGate(const ConnectionLimits& limits)
      : limits_(limits), tokens_(limits.per_second), pace_(limits.per_second / 4, limits.per_second / 2) {}

  // When the next one may be accepted at all: now_ms or before, or later. Meanwhile the kernel keeps them waiting, which costs
  // us nothing.
  int64_t NextAcceptMs(int64_t now_ms);
  // One was accepted, which the owner calls `id`, a higher one than those before: kYes counts it as half open until Settled or
  // Gone; otherwise it is to be closed and is not counted.
  Admission Admit(uint64_t id, const std::string& address, int64_t now_ms);
  // After Admit: which half-open one has to go now, for there are too many of them; 0: none. It is the oldest of the address that
  // holds most, so that somebody who only holds connections loses his own.
  uint64_t ToEvict() const;
  void Settled(uint64_t id, const std::string& address);
  void Gone(uint64_t id, const std::string& address, bool was_half_open);

  size_t open() const { return open_; }
  size_t half_open() const { return half_open_; }

 private:
  struct Count {
    size_t open = 0;
    std::deque<uint64_t> half_open;   // oldest first
  };
  void Refill(int64_t now_ms);

  const ConnectionLimits limits_;
  double tokens_;
  int64_t refilled_ms_ = INT64_MIN;
  AddressBudget pace_;
  size_t open_ = 0, half_open_ = 0;
  absl::flat_hash_map<std::string, Count> by_address_;   // only those with a connection
};

}  // namespace sluice::transport
