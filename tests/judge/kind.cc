#include "tests/judge/kind.h"

#include <algorithm>
#include <array>
#include <string>

namespace sluice::judge {
namespace {

constexpr std::array<std::string_view, 11> kKindNames = {
    "unknown", "status", "telemetry", "alarm", "sale", "refill", "stock-count", "price-change", "punch", "break",
    "command-result"};
constexpr std::array<std::string_view, kQueues> kQueueNames = {"unknown", "inventory", "attendance", "shop-urgent",
                                                               "shop-bulk"};

}  // namespace

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
