// The newest device events of the shop service. Status and telemetry leave no effect row: this is how their repeats are
// recognised without an index over all of them, and how an id that comes again as another kind is.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "base/item.h"
#include "cloud/eventbus/outbox_trim.h"
#include "cloud/store/store.h"

namespace sluice::shop {

// What lies further back than the capacity has a second effect, which for a status or a measurement is the same as the
// first, and the same eventId on the bus. The edge removes repeats too; this is for when its memory was lost.
// For one thread at a time. About 60 bytes an event.
class RecentIds {
 public:
  explicit RecentIds(size_t capacity = eventbus::kNewestKept) : capacity_(capacity) {}

  // The newest of bus_outbox, the first time; then nothing.
  absl::Status Load(store::Transaction& transaction);
  // False: it is there already.
  bool Insert(const std::string& shop, const EventId& id);
  // Keeps, or forgets, what was inserted since the last call of either.
  void Commit();
  void Rollback();

 private:
  struct Key {
    uint32_t shop = 0;
    EventId id;
    bool operator==(const Key&) const = default;
    // The second half of a version 7 or 8 UUID is random but for two bits; hashing more of it would spread no better.
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      uint64_t half;
      std::memcpy(&half, key.id.bytes.data() + 8, sizeof half);
      return H::combine(std::move(h), half + key.shop);
    }
  };

  const size_t capacity_;
  bool loaded_ = false;
  absl::flat_hash_map<std::string, uint32_t> shops_;
  absl::flat_hash_set<Key> known_;
  std::deque<Key> order_;     // oldest first
  size_t uncommitted_ = 0;    // the newest of order_
};

}  // namespace sluice::shop
