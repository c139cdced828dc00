// What a driver produces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "sluice/event/v1/event.pb.h"

namespace sluice::devices {

// A decoded event on its way to the intake. The decoder fills device_id, device_time_ms, sequence or message_id, claimed
// gateway_id and shop_id, correlation_id and the body; the intake fills the rest (event_id, receive time, clock).
struct DecodedEvent {
  event::v1::DeviceEvent event;
};

// Stands where the head of a message would, if that may tell of a person.
inline constexpr std::string_view kMayNameAPerson = "(may name a person: not kept)";

// What a device sent and nobody can use.
struct Rejection {
  std::string source;      // mqtt:main, serial:scale-1
  std::string where;       // topic or port
  std::string device_id;   // as far as it is known
  std::string reason;      // for people: what is wrong, where, what is allowed
  std::string head;        // the first 1 KiB as it came; or kMayNameAPerson
  uint64_t size = 0;
  // The device's number, if it could be read: the receipt names it as refused, so that the device stops sending it.
  bool has_sequence = false;
  uint64_t boot = 0;
  uint64_t seq = 0;
  std::string message_id;
};

// The numbers of one device and boot that are safe, as closed ranges, and those that were refused for good (R11).
struct Receipt {
  std::string device_id;
  uint64_t boot = 0;                                    // 0 with `ids` for devices that do not number
  std::vector<std::pair<uint64_t, uint64_t>> ranges;    // ascending, not adjacent
  struct Refused {
    uint64_t seq = 0;
    std::string message_id;
    std::string reason;
  };
  std::vector<Refused> refused;                         // since the last receipt
  std::vector<std::string> ids;                         // message ids that are safe, since the last receipt
};

}  // namespace sluice::devices
