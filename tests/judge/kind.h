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

// What the ledger says of an event beside its kind: quantity of a sale or refill, level of a count; of punches and breaks which.
using Detail = int64_t;
inline constexpr Detail kNotTold = -1;   // by an older ledger
inline constexpr Detail kNone = -2;
inline constexpr Detail kIn = 1, kOut = 2, kStart = 1, kEnd = 2;
Detail DetailOf(Kind kind, std::string_view text);   // kNotTold for anything else than the kind has

// Types of bus events, as bits.
using Types = uint8_t;
inline constexpr Types kOtherType = 0x80;
Types TypeOf(std::string_view event_type);
// How a kind is told: as all of `all`, and as one of `one` where that is not empty.
struct Telling {
  Types all = 0;
  Types one = 0;
};
Telling TellingOf(Kind kind, Detail detail);

Kind KindOf(std::string_view name);  // "stock-count" or "stock_count"
std::string_view NameOf(Kind kind);
Queue QueueOf(Kind kind);
Queue QueueOf(std::string_view name);
std::string_view NameOf(Queue queue);

}  // namespace sluice::judge
