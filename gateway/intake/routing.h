// Which queue an event travels on: the table of the architecture. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "base/item.h"
#include "sluice/event/v1/event.pb.h"

namespace sluice::intake {

struct Route {
  Queue queue;
  std::string_view kind;   // as in the native topics: stock-count, command-result, …
};

// Nothing where the event has no body, and for a clock fix: that one goes to every queue.
std::optional<Route> RouteOf(event::v1::DeviceEvent::BodyCase body);

// "clock-fix" and "none" too; for people.
std::string_view KindName(event::v1::DeviceEvent::BodyCase body);

}  // namespace sluice::intake
