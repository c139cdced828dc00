#include "tests/sync/simulation.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string>

namespace sluice::sync {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

constexpr uint64_t SimulationResult::*kCounts[] = {
    &SimulationResult::produced,       &SimulationResult::effects,       &SimulationResult::repeats,
    &SimulationResult::lost_named,     &SimulationResult::streams,       &SimulationResult::edge_crashes,
    &SimulationResult::cloud_restores, &SimulationResult::edge_restores, &SimulationResult::copied_cards,
    &SimulationResult::twin_machines,  &SimulationResult::shop_changes,  &SimulationResult::keyed_anew,
    &SimulationResult::lease_alarms,   &SimulationResult::clone_alarms,  &SimulationResult::store_failures,
    &SimulationResult::refusals,       &SimulationResult::virtual_ms};
constexpr const char* kNames[] = {"events",         "effects",       "repeats",      "named losses",  "streams",
                                  "power cuts",     "clouds set back", "boxes set back", "copied cards", "twin machines",
                                  "changes of shop", "keyed anew",   "lease alarms", "clone alarms",  "store failures",
                                  "refusals",       "virtual ms"};

// SLUICE_SEED=n replays one seed; SLUICE_SEEDS=n sets how many are run, from SLUICE_FIRST_SEED on.
TEST(SimulationTest, EveryEventTakesEffectOnceInOrder) {
  const uint64_t one = FromEnvironment("SLUICE_SEED", 0);
  const uint64_t first = one != 0 ? one : FromEnvironment("SLUICE_FIRST_SEED", 1);
  const uint64_t count = one != 0 ? 1 : FromEnvironment("SLUICE_SEEDS", 2000);
  SimulationResult sum;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const SimulationResult result = Simulate(seed);
    ASSERT_EQ(result.fault, "") << "replay with SLUICE_SEED=" << seed;
    for (const auto member : kCounts) sum.*member += result.*member;
  }
  for (size_t i = 0; i < std::size(kCounts); ++i) {
    std::printf("%s%llu %s", i == 0 ? "" : ", ", static_cast<unsigned long long>(sum.*kCounts[i]), kNames[i]);
  }
  std::printf("; %llu seeds, %llu virtual hours\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(sum.virtual_ms / 3'600'000));
  // The world has to be bad enough to show anything.
  if (count >= 1000) {
    EXPECT_GT(sum.edge_crashes, count / 2);
    EXPECT_GT(sum.cloud_restores, count / 4);
    EXPECT_GT(sum.edge_restores, count / 50);
    EXPECT_GT(sum.copied_cards, count / 20);
    EXPECT_GT(sum.twin_machines, count / 20);
    EXPECT_GT(sum.shop_changes, count / 20);
    EXPECT_GT(sum.keyed_anew, count / 10);
    EXPECT_GT(sum.lease_alarms, count / 20);
    EXPECT_GT(sum.clone_alarms, count / 50);
    EXPECT_GT(sum.lost_named, 0u);
    EXPECT_GT(sum.streams, 5 * count);
  }
}

}  // namespace
}  // namespace sluice::sync
