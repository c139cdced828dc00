#include "base/item.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "base/strings.h"

namespace sluice {

std::string Id128::ToHex() const { return absl::BytesToHexString(AsAbsl(View())); }

std::string Id128::ToUuid() const {
  const std::string hex = ToHex();
  std::string uuid(36, '-');
  for (const auto& [from, to, digits] : {std::array{0, 0, 8}, {8, 9, 4}, {12, 14, 4}, {16, 19, 4}, {20, 24, 12}}) {
    hex.copy(uuid.data() + to, static_cast<size_t>(digits), static_cast<size_t>(from));
  }
  return uuid;
}

std::optional<Id128> Id128::FromBytes(std::string_view raw) {
  Id128 id;
  if (raw.size() != id.bytes.size()) return std::nullopt;
  std::copy(raw.begin(), raw.end(), id.bytes.begin());
  return id;
}

std::optional<Id128> Id128::Parse(std::string_view text) {
  std::string digits;
  for (char c : text) {
    if (c == '-') continue;
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
    digits.push_back(c);
  }
  if (digits.size() != 32) return std::nullopt;
  return FromBytes(absl::HexStringToBytes(digits));
}

std::string_view QueueName(Queue queue) {
  switch (queue) {
    case Queue::kInventory: return "inventory";
    case Queue::kAttendance: return "attendance";
    case Queue::kShopUrgent: return "shop-urgent";
    case Queue::kShopBulk: return "shop-bulk";
  }
  return "unknown";
}

std::optional<Queue> QueueFromName(std::string_view name) {
  for (const Queue queue : kAllQueues) {
    if (QueueName(queue) == name) return queue;
  }
  return std::nullopt;
}

std::optional<Queue> QueueFromNumber(int value) {
  if (value < 1 || value > static_cast<int>(kQueueCount)) return std::nullopt;
  return static_cast<Queue>(value);
}

std::string_view GapReasonName(GapReason reason) {
  switch (reason) {
    case GapReason::kNone: return "none";
    case GapReason::kCorrupt: return "corrupt";
    case GapReason::kQuota: return "quota";
    case GapReason::kThinned: return "thinned";
    case GapReason::kCoalesced: return "coalesced";
    case GapReason::kLostTail: return "lost_tail";
    case GapReason::kBeyondReplayWindow: return "beyond_replay_window";
  }
  return "unknown";
}

}  // namespace sluice
