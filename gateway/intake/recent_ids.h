// The events of one device that names its messages instead of numbering them, as far back as memory goes.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "base/item.h"

namespace sluice::intake {

// Keyed by event id, which is a 128-bit hash of device and message id: two ids never meet in practice, whereas a short hash
// of our own would now and then take a new event for an old one. Forgets the oldest beyond `capacity`; what was forgotten is
// accepted again under the same event id, and the cloud gives it no second effect (delivery rule R2). Not thread-safe.
class RecentIds {
 public:
  static constexpr size_t kCapacity = 512;   // about 32 KiB when full

  explicit RecentIds(size_t capacity = kCapacity) : capacity_(capacity) {}

  // Whether the id is safe; nothing if it is unknown.
  std::optional<bool> Find(const EventId& id) const;
  void MarkTaken(const EventId& id);
  // May come before MarkTaken, from another thread's completion.
  void MarkSafe(const EventId& id);
  size_t size() const { return order_.size(); }

 private:
  void Remember(const EventId& id, bool safe);

  size_t capacity_;
  absl::flat_hash_map<EventId, bool> safe_;
  std::deque<EventId> order_;
};

}  // namespace sluice::intake
