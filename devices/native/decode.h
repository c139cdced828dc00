// Native MQTT: topic and payload → event. Pure. The format is described in README.md beside this file.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "devices/event.h"
#include "devices/json_event.h"

namespace sluice::native {

// sluice/v1/<device>/<kind>. Views into the topic.
struct EventTopic {
  std::string_view device;
  std::string_view kind;   // not checked: may be `ack` or unknown
};
// Whether it lies where only events and receipts do, well-formed or not.
bool IsEventTopic(std::string_view topic);
// InvalidArgument if it is no such topic or the device has no proper name.
absl::StatusOr<EventTopic> ParseTopic(std::string_view topic);
std::string ReceiptTopic(std::string_view device);
// What to subscribe to.
inline constexpr std::string_view kEventFilter = "sluice/v1/+/+";
inline constexpr std::string_view kReceiptKind = "ack";

// InvalidArgument names the member, what is wrong and what is allowed. `facts` as in devices::DecodeJsonEvent.
absl::StatusOr<devices::DecodedEvent> Decode(std::string_view topic, std::string_view payload,
                                             devices::JsonEventFacts* facts = nullptr);

}  // namespace sluice::native
