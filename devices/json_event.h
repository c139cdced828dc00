// One JSON object → one event, for every family whose devices speak our JSON (native MQTT, JSON lines). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "devices/event.h"
#include "devices/event_fields.h"

namespace sluice::devices {

// Far above any real event and far below the sync protocol's item limit (delivery case 39).
inline constexpr size_t kMaxJsonEventBytes = 64 * 1024;

// What is known before the body is read. An empty name must then be given by the body's member `device` or `kind`; a
// name that is set may not be repeated there, but for `may_repeat_device`.
struct JsonEventAddress {
  std::string_view device;
  std::string_view kind;
  bool may_repeat_device = false;   // the body may name `device` too, and then the same
};

// What could be read of a body, whether it became an event or not: for the Rejection.
struct JsonEventFacts {
  std::string device;      // empty if not told
  std::optional<EventKind> kind;   // empty if not told, unknown, or told twice
  Numbering numbering;     // nothing where it is missing, ambiguous or perhaps cut short
  bool well_formed = false;   // it was JSON; on a line without checksum only then `numbering` may be believed
};

// InvalidArgument "<member>: <what is wrong, what is allowed>" for everything that ARCHITECTURE.md, "Native MQTT", does
// not allow. Fills *facts, if given, in either case.
absl::StatusOr<DecodedEvent> DecodeJsonEvent(std::string_view body, const JsonEventAddress& address,
                                             JsonEventFacts* facts = nullptr);

}  // namespace sluice::devices
