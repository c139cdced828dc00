// Wrong passwords make who gives them wait. Pure: time is handed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace sluice::transport {

// For one thread. Monotonic milliseconds.
//
// By address and user name together: a device with a wrong password is no reason to let its neighbours behind the same address
// wait (who varies the names meets VerifyQueue's budget). After `free` wrong ones first_ms, doubled with each, at most most_ms.
// Only time forgives, one failure in forgive_ms. Bounded: beyond kEntries those that have the least to forget go.
class FailureBackoff {
 public:
  struct Options {
    int free = 5;
    int64_t first_ms = 1000;
    int64_t most_ms = 60'000;
    int64_t forgive_ms = 60'000;
  };
  static constexpr size_t kEntries = 4096;

  explicit FailureBackoff(const Options& options) : options_(options) {}

  void Failed(const std::string& address, std::string_view user, int64_t now_ms);
  bool MustWait(const std::string& address, std::string_view user, int64_t now_ms) const;
  size_t entries() const { return failures_.size(); }

 private:
  struct Failures {
    double count = 0;        // as of since_ms
    int64_t since_ms = 0;
    int64_t until_ms = 0;    // waits until then
  };
  double CountAt(const Failures& failures, int64_t now_ms) const;
  void ForgetSome(int64_t now_ms);

  const Options options_;
  absl::flat_hash_map<std::string, Failures> failures_;   // by "<address> <user>"; no address has a blank
};

}  // namespace sluice::transport
