// Whether the promise was kept: what the devices' side knows, held against what the cloud's store holds.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sync/model_outbox.h"
#include "tests/sync/model_store.h"

namespace sluice::sync {

// One event of a device, as the device knows it.
struct Produced {
  EventId id;
  std::string payload;
  std::string shop;
  size_t box = 0;          // that it was given to; each box has devices of its own
  EpochId epoch;           // and where it put it
  uint64_t number = 0;
  bool safe = false;       // synced, or acknowledged, at some time: a device may have been answered
  bool torn_off = false;   // a power cut took it from the box; the cloud may have it
  bool set_back = false;   // the box was restored from a copy that does not hold it
};

// What happened that excuses anything.
struct Troubles {
  uint64_t cloud_restores = 0;
  uint64_t edge_restores = 0;
  uint64_t copies = 0;          // a second box with this one's state
  uint64_t known_tails = 0;     // power cuts after which the lost numbers were known, and so declared lost
};

struct Verdict {
  std::string fault;            // empty: every promise was kept
  uint64_t lost_named = 0;
};

// Which events had a key, on any box.
class KeyTable {
 public:
  void Add(const ModelOutbox& outbox);
  std::set<EventId> Find(EpochId epoch, uint64_t number) const;

 private:
  std::map<std::pair<EpochId, uint64_t>, std::set<EventId>> events_;
  std::map<EpochId, std::pair<EpochId, uint64_t>> origins_;
};

Verdict JudgeWorld(const std::vector<Produced>& produced, const KeyTable& keys, const ModelStore& store,
                   const Troubles& troubles);

}  // namespace sluice::sync
