// Where the listener listens, read from text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sluice::transport {

struct ListenAddress {
  std::string host;   // an address, IPv6 without brackets; never a name
  uint16_t port = 0;
  bool loopback = false;
};
// InvalidArgument says what is allowed. Pure.
absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);

}  // namespace sluice::transport
