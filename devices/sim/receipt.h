// The gateway's receipt as a device reads it (ARCHITECTURE.md, "Receipts").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::sim {

struct Receipt {
  uint64_t boot = 0;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;  // closed, first <= last
  struct Refused {
    uint64_t seq = 0;
    std::string reason;
  };
  std::vector<Refused> refused;
};

// Pure. InvalidArgument on anything that is not a receipt; members it does not know are ignored, so that a newer gateway
// can talk to an older device.
absl::StatusOr<Receipt> ParseReceipt(std::string_view json);
// A serial line {"ack":{…}}. NotFound if the line is a JSON object without "ack" (something else for the device).
absl::StatusOr<Receipt> ParseAckLine(std::string_view line);

}  // namespace sluice::sim
