// The last accepted events as they were encoded, for `sluicectl tail`.
#pragma once

#include <cstdint>
#include <string>

#include "base/item.h"
#include "gateway/intake/newest_ring.h"

namespace sluice::intake {

struct TailEntry {
  Queue queue = Queue::kShopBulk;
  uint64_t number = 0;
  std::string bytes;   // sluice.event.v1.DeviceEvent

  size_t Bytes() const { return bytes.size(); }
};

class TailRing : public NewestRing<TailEntry> {
 public:
  TailRing() : NewestRing(1000, 1u << 20) {}
};

}  // namespace sluice::intake
