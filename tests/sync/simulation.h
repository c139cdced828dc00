// One gateway queue, one cloud, a bad network and bad luck, in virtual time: everything follows from the seed.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::sync {

struct SimulationResult {
  std::string fault;      // empty: every promise was kept
  uint64_t produced = 0, effects = 0, lost_named = 0, streams = 0, edge_crashes = 0, cloud_restores = 0, store_failures = 0,
           refusals = 0, virtual_ms = 0;
};

SimulationResult Simulate(uint64_t seed);

}  // namespace sluice::sync
