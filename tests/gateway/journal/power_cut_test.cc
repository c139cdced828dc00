// The journal on a disk whose power goes (delivery rules R1, R3, R5).
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "gateway/journal/journal.h"
#include "tests/fakes/recorded_disk.h"
#include "tests/fakes/temp_folder.h"

namespace sluice::journal {
namespace {

// Found by seed 5. A sync fails and the process dies before it could write the records elsewhere: they read well from the page
// cache, no sync will ever write them, and the next process must not take them for safe.
TEST(PowerCutTest, WhatAFailedSyncLeftInTheCacheIsNotTakenForSafe) {
  const fakes::TempFolder folder;
  const Options options{.folder = folder.path(), .segment_bytes = 32 << 10, .min_segments = 2, .max_record_bytes = 1 << 10};
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    SeededRandom random(seed);
    ManualClock clock;
    fakes::RecordedDisk disk({}, seed);
    auto journal = Journal::Open(options, "gw", "shop", 1, disk, clock, random, nullptr);
    ASSERT_TRUE(journal.ok()) << journal.status();
    const EpochId epoch = (*journal)->epoch().id;
    const auto append = [&] { return (*journal)->Append({Queue::kInventory, {}, 0, std::string(700, 'x')}, nullptr).ok(); };
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(append());
    ASSERT_TRUE((*journal)->Sync().ok());
    disk.SetOnSync([](const std::string&) { return absl::InternalError("injected: EIO"); });
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(append());
    ASSERT_FALSE((*journal)->Sync().ok());
    disk.SetDead(true);
    journal->reset();
    disk.SetDead(false);
    disk.SetOnSync(nullptr);

    const auto numbers = [&](Journal& from) {
      std::vector<uint64_t> out;
      EXPECT_TRUE(from.Read(epoch, Queue::kInventory, 1, UINT64_MAX, [&](const Item& item) {
        out.push_back(item.first);
        return true;
      }).ok());
      return out;
    };
    journal = Journal::Open(options, "gw", "shop", 2, disk, clock, random, nullptr);
    ASSERT_TRUE(journal.ok()) << journal.status();
    const std::vector<uint64_t> answered_for = numbers(**journal);
    EXPECT_GE(answered_for.size(), 5u);
    disk.SetDead(true);
    journal->reset();

    fakes::PowerCuts cuts(disk.base(), disk.log());
    while (cuts.Step()) {
    }
    fakes::RecordedDisk after(cuts.Image(random));
    journal = Journal::Open(options, "gw", "shop", 3, after, clock, random, nullptr);
    ASSERT_TRUE(journal.ok()) << journal.status();
    const std::vector<uint64_t> left = numbers(**journal);
    EXPECT_TRUE(std::includes(left.begin(), left.end(), answered_for.begin(), answered_for.end()))
        << answered_for.size() << " were answered for, " << left.size() << " are left";
    journal->reset();
  }
}

}  // namespace
}  // namespace sluice::journal
