// Order per device within a queue. The promise speaks of what the gateway took: what it took first takes effect first. The
// judge sees only both ends, so it asks the source's ledger with which sending each number can have arrived (Boot::Arrival).
//
// A lower (boot, seq) after a higher one is *late*, and no fault, where the ledger proves that the lower arrived after the
// higher: each sending of it before the one that the higher arrived with was lost on the way. There are two proofs of a loss:
//   - the broker's PUBACK said that this sending reached nobody (the gateway had no session there);
//   - an answer (a receipt, the listener's PUBACK) for the boot names a number of the same queue that was sent later, and not
//     this one. The way is first in, first out, and what was taken first in a queue is safe first: what an answer passes
//     over had not been taken.
// Everything else is a *break*: without a proof the first sending counts, whatever was sent again, lost connections and
// killed programs or not. A receipt proves nothing for another boot or queue, nor for what was sent after all that it names.
//
// One loss leaves no trace in a ledger: the broker had answered for the sending and was killed, and so was the gateway that
// it had handed it to, before its write. Devices that ask before they send on (devices/sim/README.md) have sent nothing
// higher by the time they repeat it; of a hasty device's break it cannot be told whose it is.
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
    Skyline arrivals;
    for (size_t i = 0; i < sightings.size(); ++i) {
      const Sighting& one = sightings[i];
      if (!devices_[one.device].in_ledger) continue;
      if (i == 0 || sightings[i - 1].device != one.device || sightings[i - 1].queue != one.queue) arrivals.clear();
      const Key key{one.boot, one.seq};
      const uint32_t arrival = devices_[one.device].boots.at(one.boot).Arrival(one.seq);
      if (const auto higher = arrivals.upper_bound(key); higher != arrivals.end()) {
        if (higher->second > arrival) {
          ++result.breaks;
          on_break(one);
        } else {
          ++result.late;
        }
      }
      Insert(arrivals, key, arrival);
    }
    return result;
  }

 private:
  using Key = std::pair<uint64_t, uint64_t>;  // (boot, seq)
  // Of what was seen: key → arrival, only those that no other dominates (both at least as high). Keys ascend, arrivals
  // descend, so the first above a key arrived last of all above it.
  using Skyline = std::map<Key, uint32_t>;

  static void Insert(Skyline& skyline, const Key& key, uint32_t arrival) {
    auto at = skyline.lower_bound(key);
    if (at != skyline.end() && at->second >= arrival) return;
    while (at != skyline.begin() && std::prev(at)->second <= arrival) at = skyline.erase(std::prev(at));
    skyline.insert_or_assign(key, arrival);
  }

  const std::vector<Device>& devices_;
};

}  // namespace sluice::judge
