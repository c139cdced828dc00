// The simulator's own record of what it sent and what was answered (ARCHITECTURE.md, "Ledgers of the simulators").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "devices/sim/family.h"
#include "devices/sim/receipt.h"

namespace sluice::sim {

// Appends to one file, through a buffer. Not thread-safe. A line is in the file after Flush, and safe from a power cut
// only with `fsync`. Without a path it swallows everything.
//
// An S line carries what the judge holds against the cloud, out of the event's body: quantity or level, direction or phase.
class Ledger {
 public:
  absl::Status Open(const std::string& path, bool fsync);

  void Device(std::string_view device, std::string_view transport, std::string_view family);
  void Sent(std::string_view device, uint64_t boot, uint64_t seq, Kind kind, int64_t unix_us, std::string_view body);
  void Puback(std::string_view device, uint64_t boot, uint64_t seq);
  void Unheard(std::string_view device, uint64_t boot, uint64_t seq);
  void Received(std::string_view device, const Receipt& receipt);
  void Refused(std::string_view device, uint64_t boot, uint64_t seq, std::string_view reason);

  // Writes what is buffered. After an error the ledger is not to be believed: end the run.
  absl::Status Flush();
  bool Full() const { return buffer_.size() >= kFlushAt; }

 private:
  static constexpr size_t kFlushAt = 512 * 1024;

  UniqueFd fd_;
  bool fsync_ = false;
  std::string buffer_;
};

}  // namespace sluice::sim
