// Journal and outbox on one disk whose power goes at any moment (delivery rules R1, R3, R5–R7): what was called safe is pending
// afterwards, or the cloud has it, or a committed gap names it; in order, under its key, and nothing is invented.
//
// SLUICE_POWER_CUTS: how many disk images are tried (500). SLUICE_SEED: the first workload's seed; a failure names the seed of
// its own. The same seed makes the same workload; how the outbox's thread falls between its steps may differ.
#include <cstdlib>
#include <iostream>

#include "base/strings.h"
#include "tests/gateway/outbox/power_cut_fixture.h"

namespace sluice::outbox::power_cut {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

template <typename T, size_t kCount>
T OneOf(Random& dice, const T (&values)[kCount]) {
  return values[dice.Below(kCount)];
}

Shape ShapeOf(Random& dice) {
  Shape shape;
  shape.journal.segment_bytes = OneOf<uint64_t>(dice, {20 << 10, 32 << 10, 64 << 10});
  shape.journal.max_record_bytes = 8 << 10;
  shape.journal.min_segments = 1 + static_cast<uint32_t>(dice.Below(3));
  shape.journal.max_segments = shape.journal.min_segments + 1 + static_cast<uint32_t>(dice.Below(3));
  shape.options.spill_after_ms = OneOf<int64_t>(dice, {1, 1000, 3'600'000});
  shape.options.memory_bytes = OneOf<size_t>(dice, {8 << 10, 64 << 10, 16 << 20});
  shape.options.replay_window_bytes = OneOf<uint64_t>(dice, {0, 8 << 10, 64 << 20});
  if (dice.Below(4) == 0) {
    shape.options.quota_bytes = 400 << 10;
    shape.options.reserved_bytes = 150 << 10;
  }
  shape.sealed = dice.Below(3) == 0;
  shape.checkpoint_pages = OneOf<int>(dice, {4, 20, 100, 1000});
  shape.steps = 20 + static_cast<int>(dice.Below(300));
  return shape;
}

// As a card that wears out would.
void Damage(fakes::DiskImage& image, Random& dice) {
  for (const char* suffix : {"", "-wal"}) {
    const auto found = image.find(Session::DatabasePath() + suffix);
    if (found == image.end() || found->second.empty() || (*suffix != '\0' && dice.Below(2) == 0)) continue;
    std::string& bytes = found->second;
    const size_t page = dice.Below(bytes.size()) / 4096 * 4096;
    switch (dice.Below(4)) {
      case 0: bytes.resize(dice.Below(bytes.size())); break;
      case 1:
        for (size_t i = page; i < page + 4096 && i < bytes.size(); ++i) bytes[i] = '\0';
        break;
      case 2:
        for (size_t i = 0; i < 4096 && i < bytes.size(); ++i) bytes[i] = static_cast<char>(dice.Below(256));
        break;
      default: bytes[dice.Below(bytes.size())] ^= static_cast<char>(1 << dice.Below(8));
    }
  }
}

// Cuts the power at `count` moments of what happened, and at some of what the starts then do. Returns how many images.
uint64_t Cut(const Session& session, const Shape& shape, Truth& truth, Random& dice, uint64_t count, Counts& counts) {
  const size_t size = session.disk().log().size();
  Numbers moments;
  for (uint64_t i = 0; i < count; ++i) moments.insert(static_cast<size_t>(dice.Unit() * static_cast<double>(size + 1)));
  fakes::PowerCuts cuts(session.disk().base(), session.disk().log());
  Promise promise = session.promise_at_start();
  uint64_t images = 0;
  for (const size_t moment : moments) {
    while (cuts.at() < moment) {
      const fakes::DiskOp& op = session.disk().log()[cuts.at()];
      if (op.kind == fakes::DiskOp::Kind::kMark) Keep(session.marks()[op.mark], promise);
      cuts.Step();
    }
    ++images;
    Shape next = shape;
    next.depth = shape.depth + 1;
    next.steps = static_cast<int>(dice.Below(shape.depth == 0 ? 40 : 10));
    // Of their own, as they take more or less of it by what was written.
    SeededRandom fate(dice.Below(UINT64_MAX));
    fakes::DiskImage image = cuts.Image(fate);
    Truth branch = truth;
    Promise kept = promise;
    if (shape.depth == 0 && dice.Below(8) == 0) {
      ++counts.damaged;
      Damage(image, fate);
      kept.damaged = true;
    }
    SCOPED_TRACE(StrCat("power cut ", next.depth, " at operation ", moment, " of ", size, kept.damaged ? ", damaged" : ""));
    Session recovery(next, branch, kept, image, dice.Below(UINT64_MAX), counts);
    recovery.Live(dice.Below(2) == 0);
    recovery.PowerOff();
    if (!testing::Test::HasFailure() && shape.depth < 1 && (kept.damaged || dice.Below(2) == 0)) {
      images += Cut(recovery, next, branch, dice, kept.damaged ? 4 : 2, counts);
    }
    if (testing::Test::HasFailure()) return images;
  }
  return images;
}

uint64_t Workload(uint64_t seed, uint64_t cuts, Counts& counts) {
  SCOPED_TRACE(StrCat("SLUICE_SEED=", seed));
  SeededRandom dice(seed);
  const Shape shape = ShapeOf(dice);
  Truth truth;
  Session session(shape, truth, {}, {}, seed, counts);
  for (uint64_t lives = 1 + dice.Below(3); lives > 0 && !testing::Test::HasFailure(); --lives) {
    session.Live(dice.Below(2) == 0);
  }
  session.PowerOff();
  if (testing::Test::HasFailure()) return 0;
  return Cut(session, shape, truth, dice, cuts, counts);
}

TEST(PowerCutTest, WhatWasSafeIsPendingOrDeliveredOrDeclared) {
  const uint64_t wanted = FromEnvironment("SLUICE_POWER_CUTS", 500);
  SystemRandom system;
  uint64_t seed = FromEnvironment("SLUICE_SEED", system.Below(1ULL << 32));
  std::cout << "seeds from " << seed << std::endl;
  uint64_t images = 0, workloads = 0;
  Counts counts;
  for (; images < wanted && !HasFailure(); ++seed, ++workloads) {
    images += Workload(seed, std::min<uint64_t>(wanted, 40), counts);
  }
  std::cout << images << " images of " << workloads << " workloads, seeds to " << seed - 1 << ": " << counts.starts
            << " starts, " << counts.records << " records and " << counts.gaps << " gaps judged (" << counts.quota_gaps
            << " of the quota), " << counts.damaged << " databases damaged, " << counts.set_aside << " set aside, "
            << counts.salvaged << " rows salvaged, " << counts.rewinds << " rewinds" << std::endl;
}

}  // namespace
}  // namespace sluice::outbox::power_cut
