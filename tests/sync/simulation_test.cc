#include "tests/sync/simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace sluice::sync {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// SLUICE_SEED=n replays one seed; SLUICE_SEEDS=n sets how many are run, from SLUICE_FIRST_SEED on.
TEST(SimulationTest, EveryEventTakesEffectOnceInOrder) {
  const uint64_t one = FromEnvironment("SLUICE_SEED", 0);
  const uint64_t first = one != 0 ? one : FromEnvironment("SLUICE_FIRST_SEED", 1);
  const uint64_t count = one != 0 ? 1 : FromEnvironment("SLUICE_SEEDS", 2000);
  SimulationResult sum;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const SimulationResult result = Simulate(seed);
    ASSERT_EQ(result.fault, "") << "replay with SLUICE_SEED=" << seed;
    sum.produced += result.produced;
    sum.effects += result.effects;
    sum.lost_named += result.lost_named;
    sum.streams += result.streams;
    sum.edge_crashes += result.edge_crashes;
    sum.cloud_restores += result.cloud_restores;
    sum.store_failures += result.store_failures;
    sum.refusals += result.refusals;
    sum.virtual_ms += result.virtual_ms;
  }
  std::printf("%llu seeds: %llu events, %llu effects, %llu named losses, %llu streams, %llu edge crashes, %llu restores, "
              "%llu store failures, %llu refusals, %llu virtual hours\n",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(sum.produced),
              static_cast<unsigned long long>(sum.effects), static_cast<unsigned long long>(sum.lost_named),
              static_cast<unsigned long long>(sum.streams), static_cast<unsigned long long>(sum.edge_crashes),
              static_cast<unsigned long long>(sum.cloud_restores), static_cast<unsigned long long>(sum.store_failures),
              static_cast<unsigned long long>(sum.refusals), static_cast<unsigned long long>(sum.virtual_ms / 3'600'000));
  // The world has to be bad enough to show anything.
  if (count >= 1000) {
    EXPECT_GT(sum.edge_crashes, count);
    EXPECT_GT(sum.cloud_restores, count / 4);
    EXPECT_GT(sum.lost_named, 0u);
    EXPECT_GT(sum.streams, 5 * count);
  }
}

}  // namespace
}  // namespace sluice::sync
