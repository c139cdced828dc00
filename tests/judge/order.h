// Order per device within a queue: a lower (boot, seq) after a higher one is a break, unless the source's own ledger shows
// that it was late already when the gateway took it: a receipt named the higher one before any receipt named the lower, or
// receipts had shown that the gateway lacked the lower one, and the higher was sent before the lower was sent again.
#pragma once

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/judge/tally.h"

namespace sluice::judge {

// The first sighting of each event, by device and number: a second one is a duplicate, not a break.
inline std::vector<Sighting> FirstOfEach(std::vector<Sighting> sightings) {
  std::sort(sightings.begin(), sightings.end(), [](const Sighting& a, const Sighting& b) {
    return std::tie(a.device, a.boot, a.seq, a.position) < std::tie(b.device, b.boot, b.seq, b.position);
  });
  const auto end = std::unique(sightings.begin(), sightings.end(), [](const Sighting& a, const Sighting& b) {
    return std::tie(a.device, a.boot, a.seq) == std::tie(b.device, b.boot, b.seq);
  });
  sightings.erase(end, sightings.end());
  return sightings;
}

// Pure.
class OrderCheck {
 public:
  struct Result {
    uint64_t breaks = 0;
    uint64_t late = 0;
  };

  explicit OrderCheck(const std::vector<Device>& devices) : devices_(devices) {}

  // Devices without a ledger are passed over. At most one sighting of an event: see FirstOfEach.
  template <typename OnBreak>
  Result Run(std::vector<Sighting> sightings, OnBreak&& on_break) const {
    std::sort(sightings.begin(), sightings.end(), [](const Sighting& a, const Sighting& b) {
      return std::tie(a.device, a.queue, a.position) < std::tie(b.device, b.queue, b.position);
    });
    Result result;
    Skyline by_receipt;
    Skyline by_sending;
    for (size_t i = 0; i < sightings.size(); ++i) {
      const Sighting& one = sightings[i];
      if (!devices_[one.device].in_ledger) continue;
      if (i == 0 || sightings[i - 1].device != one.device || sightings[i - 1].queue != one.queue) {
        by_receipt.clear();
        by_sending.clear();
      }
      const Key key{one.boot, one.seq};
      const Record& record = *devices_[one.device].boots.at(one.boot).Find(one.seq);
      if (const auto higher = by_receipt.upper_bound(key); higher != by_receipt.end()) {
        const bool named_later = higher->second >= record.named_at;
        const bool sent_later = record.again_at == kNever || by_sending.upper_bound(key)->second >= record.again_at;
        if (named_later && sent_later) {
          ++result.breaks;
          on_break(one);
        } else {
          ++result.late;
        }
      }
      Insert(by_receipt, key, record.named_at);
      Insert(by_sending, key, record.sent_at);
    }
    return result;
  }

 private:
  using Key = std::pair<uint64_t, uint64_t>;  // (boot, seq)
  // Of what was seen: key → receipt (or sending), only those that no other dominates (both at least as high). Keys ascend,
  // receipts descend, so the first above a key has the latest receipt of all above it.
  using Skyline = std::map<Key, uint32_t>;

  static void Insert(Skyline& skyline, const Key& key, uint32_t named_at) {
    auto at = skyline.lower_bound(key);
    if (at != skyline.end() && at->second >= named_at) return;
    while (at != skyline.begin() && std::prev(at)->second <= named_at) at = skyline.erase(std::prev(at));
    skyline.insert_or_assign(key, named_at);
  }

  const std::vector<Device>& devices_;
};

}  // namespace sluice::judge
