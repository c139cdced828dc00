// When the cloud's cursor of an epoch cannot be our doing: a second box writes under our keys (delivery rule R9). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/item.h"
#include "sync/alarm.h"

namespace sluice::sync {

// What we know of the epoch on the queue.
struct OurSide {
  EpochId epoch;
  bool running = false;          // we count its numbers; of an earlier one the cloud may know more than we (unsynced tail)
  uint64_t last = 0;
  uint64_t trusted_to = 0;       // acknowledged to us, by a cloud that was not restored since
  std::optional<EventId> id;     // of the record that we hold at the cloud's cursor
};

struct Contradiction {
  Alarm alarm = Alarm::kCloned;
  std::string text;
};

// `event_id` as in Welcome: 16 bytes, or empty where a gap stands at the cursor.
std::optional<Contradiction> FindContradiction(const OurSide& ours, uint64_t cursor, const std::string& event_id);

}  // namespace sluice::sync
