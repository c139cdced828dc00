// Devices that trust PUBACK, at a gateway whose power goes at any moment (delivery rules R2, R3, R11): what was acknowledged at
// QoS 1 by PUBACK, at QoS 2 by PUBREC, lies on the disk afterwards, once; and when the devices come back with their sessions and
// bring again with DUP what was not, everything is there in the end, once by device, boot and seq.
//
// SLUICE_POWER_CUTS: how many disk images are tried (2,000). SLUICE_SEED: the first workload's seed; a failure names the seed of
// its own. A seed makes the same choices again; how threads and sockets interleave is the machine's.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <set>

#include "base/strings.h"
#include "tests/devices/native/listener_power_cut_fixture.h"

namespace sluice::native {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

struct Figures {
  uint64_t images = 0, restarts = 0, workloads = 0, acknowledged = 0, repeated = 0;
};

// Cuts the power at `count` moments of what happened.
void Cut(const ShopOnDisk& shop, const ShopOnDisk::Shape& shape, Random& dice, uint64_t count, int depth, Figures& figures) {
  const std::vector<fakes::DiskOp>& log = shop.disk().log();
  std::set<size_t> moments;
  while (moments.size() < std::min<size_t>(count, log.size() + 1)) moments.insert(dice.Below(log.size() + 1));
  fakes::PowerCuts cuts(shop.disk().base(), log);
  Fleet fleet = shop.fleet_at_start();
  for (const size_t moment : moments) {
    while (cuts.at() < moment) {
      const fakes::DiskOp& op = log[cuts.at()];
      if (op.kind == fakes::DiskOp::Kind::kMark) fleet.Keep(shop.marks()[op.mark]);
      cuts.Step();
    }
    SCOPED_TRACE(StrCat("power cut ", depth, " at operation ", moment, " of ", log.size()));
    ++figures.images;
    figures.acknowledged += fleet.Count(Known::kPromised);
    ShopOnDisk::Shape next = shape;
    next.sync_faults = 0;
    next.new_events = dice.Below(6);
    const fakes::DiskImage image = cuts.Image(dice);
    ShopOnDisk(next, fleet, image, dice.Below(UINT64_MAX)).Judge();
    if (!testing::Test::HasFailure() && depth == 1 && dice.Below(25) == 0) {
      ++figures.restarts;
      ShopOnDisk after(next, fleet, image, dice.Below(UINT64_MAX));
      after.Live(false);
      figures.repeated += after.repeated();
      if (!testing::Test::HasFailure()) Cut(after, next, dice, 4, depth + 1, figures);
    }
    if (testing::Test::HasFailure()) return;
  }
}

void Workload(uint64_t seed, uint64_t count, Figures& figures) {
  SCOPED_TRACE(StrCat("SLUICE_SEED=", seed));
  SeededRandom dice(seed);
  ShopOnDisk::Shape shape;
  constexpr uint64_t kSegments[] = {16 << 10, 32 << 10, 128 << 10};
  shape.segment_bytes = kSegments[dice.Below(std::size(kSegments))];
  shape.new_events = 10 + dice.Below(30);
  if (dice.Below(4) == 0) shape.sync_faults = 0.05;
  ShopOnDisk shop(shape, Fleet(2 + dice.Below(4)), {}, seed);
  for (uint64_t kills = dice.Below(3); kills > 0 && !testing::Test::HasFailure(); --kills) shop.Live(/*kill=*/true);
  if (!testing::Test::HasFailure()) shop.Live(/*kill=*/false);
  ++figures.workloads;
  figures.repeated += shop.repeated();
  if (!testing::Test::HasFailure()) Cut(shop, shape, dice, count, 1, figures);
}

TEST(ListenerPowerCutTest, WhatWasAcknowledgedIsThereAfterwards) {
  const uint64_t wanted = FromEnvironment("SLUICE_POWER_CUTS", 2000);
  SystemRandom system;
  uint64_t seed = FromEnvironment("SLUICE_SEED", system.Below(1ULL << 32));
  std::cout << "seeds from " << seed << std::endl;
  Figures figures;
  for (; figures.images < wanted && !HasFailure(); ++seed) Workload(seed, std::min<uint64_t>(wanted, 100), figures);
  std::cout << figures.images << " images of " << figures.workloads << " workloads, seeds to " << seed - 1 << "; "
            << figures.acknowledged << " acknowledged events looked for, " << figures.restarts << " images started, "
            << figures.repeated << " events sent again" << std::endl;
}

}  // namespace
}  // namespace sluice::native
