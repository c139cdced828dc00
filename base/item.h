// The words that journal, outbox and sync share: epoch, queue, number, item (delivery rule R1).
//
// An item is immutable under its key (epoch, queue, first, last). Numbers run 1, 2, 3 … within an epoch and queue.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

// 16 bytes: a UUID, an epoch.
struct Id128 {
  std::array<uint8_t, 16> bytes{};

  auto operator<=>(const Id128&) const = default;
  bool IsZero() const { return *this == Id128{}; }
  std::string_view View() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  // 32 lower-case hexadecimal digits.
  std::string ToHex() const;
  // 8-4-4-4-12.
  std::string ToUuid() const;
  // Exactly 16 raw bytes, else nothing.
  static std::optional<Id128> FromBytes(std::string_view raw);
  // 32 digits with or without dashes, else nothing.
  static std::optional<Id128> Parse(std::string_view text);

  template <typename H>
  friend H AbslHashValue(H h, const Id128& id) {
    return H::combine(std::move(h), id.bytes);
  }
};

using EpochId = Id128;
using EventId = Id128;

// One start of the daemon, or what follows a change of shop or the discovery of a clone while it runs. `ordinal` gives the
// start order on one store; it may repeat after a restore, `id` never does.
struct Epoch {
  EpochId id;
  uint64_t ordinal = 0;
  std::string gateway;
  std::string shop;
};

// The values are on disk and on the wire (sluice.sync.v1.Queue): never renumber.
enum class Queue : uint8_t { kInventory = 1, kAttendance = 2, kShopUrgent = 3, kShopBulk = 4 };
inline constexpr std::array<Queue, 4> kAllQueues = {Queue::kInventory, Queue::kAttendance, Queue::kShopUrgent,
                                                    Queue::kShopBulk};
inline constexpr size_t kQueueCount = kAllQueues.size();
inline constexpr size_t QueueIndex(Queue queue) { return static_cast<size_t>(queue) - 1; }
// inventory, attendance, shop-urgent, shop-bulk
std::string_view QueueName(Queue queue);
std::optional<Queue> QueueFromNumber(int value);
std::optional<Queue> QueueFromName(std::string_view name);
// Bulk may be thinned and dropped as a declared gap; critical may not.
inline constexpr bool IsBulk(Queue queue) { return queue == Queue::kShopBulk; }
// Attendance names people: sealed wherever it lies on a disk.
inline constexpr bool IsPersonal(Queue queue) { return queue == Queue::kAttendance; }

// The values are on disk and on the wire (sluice.sync.v1.GapReason): never renumber.
enum class GapReason : uint8_t {
  kNone = 0,
  kCorrupt = 1,
  kQuota = 2,
  kThinned = 3,
  kCoalesced = 4,
  kLostTail = 5,
  kBeyondReplayWindow = 6,
};
std::string_view GapReasonName(GapReason reason);

// A record (first == last, gap == kNone) or a declared gap [first, last].
struct Item {
  EpochId epoch;
  Queue queue = Queue::kShopBulk;
  uint64_t first = 0;
  uint64_t last = 0;
  GapReason gap = GapReason::kNone;
  EventId id;                  // of a record
  int64_t accepted_ms = 0;     // Unix ms by the gateway's clock when it was accepted; for people only
  std::string bytes;           // of a record: the encoded DeviceEvent, opened

  bool IsGap() const { return gap != GapReason::kNone; }
  // What it counts for against byte bounds.
  size_t Cost() const { return bytes.size() + 96; }
};

}  // namespace sluice
