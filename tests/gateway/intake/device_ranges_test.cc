#include "gateway/intake/device_ranges.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "gateway/intake/interval_set.h"

namespace sluice::intake {
namespace {

using Ranges = std::vector<IntervalSet::Range>;

Ranges RangesOf(const std::set<uint64_t>& numbers) {
  Ranges out;
  for (const uint64_t n : numbers) {
    if (!out.empty() && out.back().second + 1 == n) {
      out.back().second = n;
    } else {
      out.emplace_back(n, n);
    }
  }
  return out;
}

TEST(IntervalSetTest, AgreesWithAPlainSet) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    const uint64_t span = 5 + random() % 120;
    IntervalSet intervals;
    std::set<uint64_t> plain;
    for (int step = 0; step < 400; ++step) {
      const uint64_t first = random() % span, last = random() % 4 == 0 ? first + random() % 8 : first;
      bool fresh = false;
      for (uint64_t n = first; n <= last; ++n) fresh |= plain.insert(n).second;
      ASSERT_EQ(intervals.InsertRange(first, last), fresh) << "seed " << seed << " step " << step;
      ASSERT_EQ(intervals.ranges(), RangesOf(plain)) << "seed " << seed << " step " << step;
      const uint64_t asked = random() % span;
      ASSERT_EQ(intervals.Contains(asked), plain.contains(asked)) << "seed " << seed;
      ASSERT_EQ(intervals.highest(), *plain.rbegin());
    }
  }
}

TEST(IntervalSetTest, ReachesTheEndOf64Bits) {
  IntervalSet set;
  EXPECT_TRUE(set.Insert(UINT64_MAX));
  EXPECT_FALSE(set.Insert(UINT64_MAX));
  EXPECT_TRUE(set.Insert(UINT64_MAX - 1));
  EXPECT_TRUE(set.Insert(0));
  EXPECT_TRUE(set.Insert(1));
  EXPECT_EQ(set.ranges(), (Ranges{{0, 1}, {UINT64_MAX - 1, UINT64_MAX}}));
}

TEST(IntervalSetTest, IsBoundedAndNeverClaimsWhatWasNotInserted) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::mt19937_64 random(seed);
    IntervalSet set(8);
    std::set<uint64_t> plain;
    for (int step = 0; step < 300; ++step) {
      const uint64_t n = random() % 200;
      plain.insert(n);
      set.Insert(n);
      ASSERT_LE(set.ranges().size(), 8u);
      ASSERT_TRUE(set.Contains(n)) << "what was inserted last must be there: a receipt is owed for it";
      for (uint64_t asked = 0; asked < 200; ++asked) {
        if (set.Contains(asked)) {
          ASSERT_TRUE(plain.contains(asked)) << "a late number would be lost";
        }
      }
    }
  }
}

TEST(DeviceRangesTest, OnlyANumberInsideARangeIsADuplicate) {
  DeviceRanges ranges;
  EXPECT_FALSE(ranges.MarkTaken(7, 1));
  EXPECT_FALSE(ranges.MarkTaken(7, 5));
  EXPECT_FALSE(ranges.IsTaken(7, 3));
  EXPECT_TRUE(ranges.MarkTaken(7, 3)) << "late";
  EXPECT_TRUE(ranges.IsTaken(7, 3));
  EXPECT_FALSE(ranges.IsTaken(8, 3));
}

TEST(DeviceRangesTest, TakenIsNotSafe) {
  DeviceRanges ranges;
  ranges.MarkTaken(7, 1);
  EXPECT_FALSE(ranges.IsSafe(7, 1));
  EXPECT_TRUE(ranges.MarkSafe(7, 1));
  EXPECT_FALSE(ranges.MarkSafe(7, 1));
  EXPECT_TRUE(ranges.IsSafe(7, 1));
}

TEST(DeviceRangesTest, SafeMayComeBeforeTakenOnceTheBootWasTouched) {
  DeviceRanges ranges;
  EXPECT_FALSE(ranges.MarkSafe(7, 1)) << "a boot that is not kept";
  ranges.Touch(7);
  EXPECT_TRUE(ranges.MarkSafe(7, 1));
  ranges.MarkTaken(7, 1);
  EXPECT_TRUE(ranges.IsSafe(7, 1));
}

TEST(DeviceRangesTest, KeepsTheFourBootsUsedLastAndALowerOneIsNew) {
  DeviceRanges ranges;
  for (uint64_t boot : {5, 6, 7, 8}) ranges.MarkTaken(boot, 1);
  ranges.MarkTaken(5, 2);   // an old backlog still comes
  ranges.MarkTaken(1, 1);   // the counter was reset
  EXPECT_TRUE(ranges.IsTaken(1, 1));
  EXPECT_TRUE(ranges.IsTaken(5, 1));
  EXPECT_FALSE(ranges.IsTaken(6, 1));
  EXPECT_EQ(ranges.boots().size(), DeviceRanges::kBoots);
  EXPECT_EQ(ranges.boots().front().boot, 1u);
}

TEST(DeviceRangesTest, ARowHoldsWhatIsSafe) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    std::mt19937_64 random(seed);
    DeviceRanges ranges;
    for (int i = 0; i < 200; ++i) {
      const uint64_t boot = 1 + random() % 6, seq = random() % 10 == 0 ? UINT64_MAX - random() % 3 : 1 + random() % 300;
      ranges.MarkTaken(boot, seq);
      if (random() % 2) ranges.MarkSafe(boot, seq);
    }
    const auto decoded = DeviceRanges::Decode(ranges.Encode());
    ASSERT_TRUE(decoded.ok()) << decoded.status() << " seed " << seed;
    ASSERT_EQ(decoded->boots().size(), ranges.boots().size());
    for (size_t i = 0; i < ranges.boots().size(); ++i) {
      EXPECT_EQ(decoded->boots()[i].boot, ranges.boots()[i].boot);
      EXPECT_EQ(decoded->boots()[i].safe, ranges.boots()[i].safe);
      EXPECT_EQ(decoded->boots()[i].taken, ranges.boots()[i].safe);
    }
  }
}

TEST(DeviceRangesTest, DamagedRowsAreRefusedOrReadAsSomethingWellFormed) {
  DeviceRanges ranges;
  for (uint64_t seq : {1, 2, 5, 900, 901}) {
    ranges.MarkTaken(7, seq);
    ranges.MarkSafe(7, seq);
  }
  const std::string row = ranges.Encode();
  for (size_t size = 0; size < row.size(); ++size) EXPECT_FALSE(DeviceRanges::Decode(row.substr(0, size)).ok()) << size;
  EXPECT_FALSE(DeviceRanges::Decode(row + "x").ok());
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = row;
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) {
      bad[random() % bad.size()] ^= static_cast<char>(1 << (random() % 8));
    }
    const auto decoded = DeviceRanges::Decode(bad);
    if (!decoded.ok()) continue;
    for (const auto& boot : decoded->boots()) {
      uint64_t previous = 0;
      for (const auto& [first, last] : boot.safe.ranges()) {
        ASSERT_LE(first, last);
        ASSERT_GT(first, previous);
        previous = last;
      }
    }
  }
}

TEST(DeviceRangesTest, MergingAnOlderStateKeepsTheNewerBoots) {
  DeviceRanges older, newer;
  for (uint64_t boot : {1, 2, 3}) {
    older.Touch(boot);
    older.MarkTaken(boot, 1);
    older.MarkSafe(boot, 1);
  }
  for (uint64_t boot : {3, 4, 5}) newer.MarkTaken(boot, 2);
  newer.MergeOlder(older);
  ASSERT_EQ(newer.boots().size(), 4u);
  EXPECT_EQ(newer.boots().front().boot, 5u);
  EXPECT_EQ(newer.Find(3)->taken.ranges(), (Ranges{{1, 2}}));
  EXPECT_EQ(newer.Find(3)->safe.ranges(), (Ranges{{1, 1}}));
  EXPECT_EQ(newer.Find(1), nullptr);
}

}  // namespace
}  // namespace sluice::intake
