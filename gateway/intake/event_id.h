// The id of an event, the same each time a device sends it (delivery rule R2).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/item.h"

namespace sluice::intake {

// UUIDv8 of an unambiguous encoding: "sluice event v1", NUL, length of the device's name (8 bytes, big-endian), the name, 's'
// and boot and seq (8 bytes each, big-endian) or 'm' and the message id.
EventId EventIdOf(std::string_view device, uint64_t boot, uint64_t seq);
EventId EventIdOf(std::string_view device, std::string_view message_id);

}  // namespace sluice::intake
