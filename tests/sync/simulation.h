// One gateway queue, one cloud, a bad network and bad luck, in virtual time: everything follows from the seed. The luck
// includes clouds and boxes that are restored from old copies, and boxes that live twice.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::sync {

struct SimulationResult {
  std::string fault;      // empty: every promise was kept
  uint64_t produced = 0, effects = 0, repeats = 0, lost_named = 0, streams = 0, edge_crashes = 0, cloud_restores = 0,
           edge_restores = 0, copied_cards = 0, twin_machines = 0, shop_changes = 0, keyed_anew = 0, lease_alarms = 0,
           clone_alarms = 0, store_failures = 0, refusals = 0, virtual_ms = 0;
};

SimulationResult Simulate(uint64_t seed);

}  // namespace sluice::sync
