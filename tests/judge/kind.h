// Kinds and queues as the judge knows them: its own table, written down once more from ARCHITECTURE.md.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::judge {

enum class Kind : uint8_t {
  kUnknown, kStatus, kTelemetry, kAlarm, kSale, kRefill, kStockCount, kPriceChange, kPunch, kBreak, kCommandResult,
};
enum class Queue : uint8_t { kUnknown, kInventory, kAttendance, kShopUrgent, kShopBulk };
inline constexpr size_t kQueues = 5;  // the unknown one included

Kind KindOf(std::string_view name);  // "stock-count" or "stock_count"
std::string_view NameOf(Kind kind);
Queue QueueOf(Kind kind);
Queue QueueOf(std::string_view name);
std::string_view NameOf(Queue queue);

}  // namespace sluice::judge
