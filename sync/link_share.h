// How the queues of one gateway share its line: bulk keeps little of it in flight while something urgent waits.
#pragma once

#include <array>

#include "base/item.h"

namespace sluice::sync {

// For the uplink's thread alone.
class LinkShare {
 public:
  // `waits`: the queue holds items that are unsent or unacknowledged.
  void SetWaiting(Queue queue, bool waits) { waits_[QueueIndex(queue)] = waits; }
  bool UrgentWaits() const {
    for (const Queue queue : kAllQueues) {
      if (!IsBulk(queue) && waits_[QueueIndex(queue)]) return true;
    }
    return false;
  }

 private:
  std::array<bool, kQueueCount> waits_{};
};

}  // namespace sluice::sync
