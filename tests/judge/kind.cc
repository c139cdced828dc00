#include "tests/judge/kind.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace sluice::judge {
namespace {

constexpr std::array<std::string_view, 11> kKindNames = {
    "unknown", "status", "telemetry", "alarm", "sale", "refill", "stock-count", "price-change", "punch", "break",
    "command-result"};
constexpr std::array<std::string_view, kQueues> kQueueNames = {"unknown", "inventory", "attendance", "shop-urgent",
                                                               "shop-bulk"};
enum : Types { kLevel = 1, kData = 2, kStatus = 4, kCheckIn = 8, kCheckOut = 16, kBreakStart = 32, kBreakEnd = 64 };
constexpr std::array<std::string_view, 7> kTypeNames = {"StockUpdated",     "DeviceDataReceived", "DeviceStatusUpdated", "CheckInRecorded",
                                                        "CheckOutRecorded", "BreakStarted",       "BreakEnded"};

}  // namespace

Detail DetailOf(Kind kind, std::string_view text) {
  switch (kind) {
    case Kind::kSale:
    case Kind::kRefill:
    case Kind::kStockCount: {
      Detail number = kNotTold;
      const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
      return read.ec == std::errc() && read.ptr == text.data() + text.size() && number >= 0 ? number : kNotTold;
    }
    case Kind::kPunch: return text == "in" ? kIn : text == "out" ? kOut : text == "-" ? kNone : kNotTold;
    case Kind::kBreak: return text == "start" ? kStart : text == "end" ? kEnd : kNotTold;
    default: return text == "-" ? kNone : kNotTold;
  }
}

Types TypeOf(std::string_view event_type) {
  for (size_t i = 0; i < kTypeNames.size(); ++i) {
    if (kTypeNames[i] == event_type) return static_cast<Types>(1 << i);
  }
  return kOtherType;
}

Telling TellingOf(Kind kind, Detail detail) {
  switch (kind) {
    case Kind::kSale:
    case Kind::kRefill:
    case Kind::kStockCount: return {.all = kLevel | kData, .one = 0};
    case Kind::kStatus: return {.all = kStatus, .one = 0};
    case Kind::kPunch:
      if (detail == kNotTold) return {.all = 0, .one = kCheckIn | kCheckOut | kData};
      return {.all = detail == kIn ? kCheckIn : detail == kOut ? kCheckOut : kData, .one = 0};
    case Kind::kBreak:
      if (detail == kNotTold) return {.all = 0, .one = kBreakStart | kBreakEnd};
      return {.all = detail == kStart ? kBreakStart : kBreakEnd, .one = 0};
    case Kind::kPriceChange:
    case Kind::kTelemetry:
    case Kind::kAlarm:
    case Kind::kCommandResult: return {.all = kData, .one = 0};
    case Kind::kUnknown: break;
  }
  return {};
}

Kind KindOf(std::string_view name) {
  std::string dashed(name);
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  for (size_t i = 1; i < kKindNames.size(); ++i) {
    if (kKindNames[i] == dashed) return static_cast<Kind>(i);
  }
  return Kind::kUnknown;
}

std::string_view NameOf(Kind kind) { return kKindNames[static_cast<size_t>(kind)]; }

Queue QueueOf(Kind kind) {
  switch (kind) {
    case Kind::kSale:
    case Kind::kRefill:
    case Kind::kStockCount:
    case Kind::kPriceChange: return Queue::kInventory;
    case Kind::kPunch:
    case Kind::kBreak: return Queue::kAttendance;
    case Kind::kAlarm:
    case Kind::kCommandResult: return Queue::kShopUrgent;
    case Kind::kStatus:
    case Kind::kTelemetry: return Queue::kShopBulk;
    case Kind::kUnknown: break;
  }
  return Queue::kUnknown;
}

Queue QueueOf(std::string_view name) {
  for (size_t i = 1; i < kQueueNames.size(); ++i) {
    if (kQueueNames[i] == name || (name.size() == 1 && name[0] == static_cast<char>('0' + i))) return static_cast<Queue>(i);
  }
  return Queue::kUnknown;
}

std::string_view NameOf(Queue queue) { return kQueueNames[static_cast<size_t>(queue)]; }

}  // namespace sluice::judge
