// So much for each address: a token bucket for each, in bounded memory. Pure: time is handed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace sluice::transport {

// For one thread. Monotonic milliseconds. An address that was never seen has its whole burst, and so has one that was forgotten:
// beyond kAddresses the one that took nothing for the longest time goes.
class AddressBudget {
 public:
  static constexpr size_t kAddresses = 4096;

  // per_second above 0; a burst below 1 is 1.
  AddressBudget(double per_second, double burst);

  // When the address may take one: now_ms or later.
  int64_t NextMs(const std::string& address, int64_t now_ms) const;
  // It takes one. Where there is none it owes it.
  void Take(const std::string& address, int64_t now_ms);
  // What it took last was no use of the budget.
  void GiveBack(const std::string& address);

  size_t addresses() const { return by_address_.size(); }

 private:
  struct Bucket {
    std::string address;
    double tokens;       // as of since_ms
    int64_t since_ms;
  };
  double TokensAt(const Bucket& bucket, int64_t now_ms) const;

  const double per_second_, burst_;
  std::list<Bucket> buckets_;   // who took last stands first
  absl::flat_hash_map<std::string_view, std::list<Bucket>::iterator> by_address_;   // views of those in buckets_
};

}  // namespace sluice::transport
