#include "cloud/ingest/examine.h"

#include <algorithm>

#include "base/strings.h"

namespace sluice::ingest {
namespace {

constexpr size_t kMaxDevice = 64;
constexpr size_t kMaxText = 1024;
// Year 9999: what is above is no date.
constexpr int64_t kMaxTimeMs = 253'402'300'799'999;

bool IsDeviceId(std::string_view id) {
  if (id.empty() || id.size() > kMaxDevice || id.front() == '.') return false;
  return std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

bool IsText(std::string_view text) { return text.size() <= kMaxText && text.find('\0') == std::string_view::npos; }

bool TextsAreSound(const event::v1::DeviceEvent& event) {
  using event::v1::DeviceEvent;
  if (!IsText(event.correlation_id()) || !IsText(event.message_id())) return false;
  switch (event.body_case()) {
    case DeviceEvent::kStatus: return IsText(event.status().text());
    case DeviceEvent::kAlarm: return IsText(event.alarm().code()) && IsText(event.alarm().text());
    case DeviceEvent::kSale:
      return IsText(event.sale().product_id()) && IsText(event.sale().selection()) && IsText(event.sale().payment()) &&
             IsText(event.sale().transaction_id()) && IsText(event.sale().price().currency());
    case DeviceEvent::kRefill: return IsText(event.refill().product_id()) && IsText(event.refill().selection());
    case DeviceEvent::kStockCount:
      return IsText(event.stock_count().product_id()) && IsText(event.stock_count().selection());
    case DeviceEvent::kPriceChange:
      return IsText(event.price_change().product_id()) && IsText(event.price_change().selection()) &&
             IsText(event.price_change().price().currency());
    case DeviceEvent::kPunch: return IsText(event.punch().user());
    case DeviceEvent::kBreak: return IsText(event.break_().user());
    case DeviceEvent::kCommandResult:
      return IsText(event.command_result().command_id()) && IsText(event.command_result().detail());
    default: return true;
  }
}

}  // namespace

Examined Examine(const std::string& bytes, const Origin& origin, event::v1::DeviceEvent& event) {
  using event::v1::DeviceEvent;
  const auto dead = [](std::string reason) { return Examined{Finding::kDead, std::move(reason)}; };
  if (!event.ParseFromString(bytes)) return dead("undecodable: not a device event");
  if (event.event_id().size() != EventId{}.bytes.size()) return dead("event_id: not 16 bytes");
  if (!event.gateway_id().empty() && event.gateway_id() != origin.gateway) {
    return {Finding::kForeign, "foreign: claims another gateway"};
  }
  if (!event.shop_id().empty() && event.shop_id() != origin.shop) {
    return {Finding::kForeign, "foreign: claims another shop"};
  }
  if (event.body_case() == DeviceEvent::BODY_NOT_SET) {
    const bool newer = !event.GetReflection()->GetUnknownFields(event).empty();
    return newer ? Examined{Finding::kKeep, ""} : dead("empty: no body");
  }
  if (event.body_case() == DeviceEvent::kClockFix) {
    if (event.clock_fix().boot_id().size() != Id128{}.bytes.size()) return dead("clock_fix.boot_id: not 16 bytes");
    return {};
  }
  if (!IsDeviceId(event.device_id())) return dead("device_id: not 1 to 64 of A-Z a-z 0-9 . _ -");
  if (event.device_time_ms() < 0 || event.device_time_ms() > kMaxTimeMs) return dead("device_time_ms: no date");
  if (event.received_time_ms() < 0 || event.received_time_ms() > kMaxTimeMs) return dead("received_time_ms: no date");
  if (!TextsAreSound(event)) return dead("a text with NUL, or longer than 1024 bytes");
  return {};
}

}  // namespace sluice::ingest
