#include "gateway/intake/routing.h"

namespace sluice::intake {

std::optional<Route> RouteOf(event::v1::DeviceEvent::BodyCase body) {
  using Event = event::v1::DeviceEvent;
  switch (body) {
    // Facts about stock and money.
    case Event::kSale: return Route{Queue::kInventory, "sale"};
    case Event::kRefill: return Route{Queue::kInventory, "refill"};
    case Event::kStockCount: return Route{Queue::kInventory, "stock-count"};
    case Event::kPriceChange: return Route{Queue::kInventory, "price-change"};
    // Facts about people.
    case Event::kPunch: return Route{Queue::kAttendance, "punch"};
    case Event::kBreak: return Route{Queue::kAttendance, "break"};
    // What someone waits for.
    case Event::kAlarm: return Route{Queue::kShopUrgent, "alarm"};
    case Event::kCommandResult: return Route{Queue::kShopUrgent, "command-result"};
    // What the next one replaces.
    case Event::kStatus: return Route{Queue::kShopBulk, "status"};
    case Event::kTelemetry: return Route{Queue::kShopBulk, "telemetry"};
    case Event::kClockFix:
    case Event::BODY_NOT_SET: break;
  }
  return std::nullopt;
}

std::string_view KindName(event::v1::DeviceEvent::BodyCase body) {
  if (const auto route = RouteOf(body)) return route->kind;
  return body == event::v1::DeviceEvent::kClockFix ? "clock-fix" : "none";
}

}  // namespace sluice::intake
