// The small parts of the intake: ids, rings, the log of refusals, the clock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "gateway/intake/clock_state.h"
#include "gateway/intake/event_id.h"
#include "gateway/intake/recent_ids.h"
#include "gateway/intake/reject_log.h"
#include "gateway/intake/tail_ring.h"

namespace sluice::intake {
namespace {

using event::v1::CLOCK_STATE_HELD;
using event::v1::CLOCK_STATE_SYNCED;
using event::v1::CLOCK_STATE_UNSET;
using ::testing::SizeIs;

Id128 Id(uint8_t byte) {
  Id128 id;
  id.bytes.fill(byte);
  return id;
}

TEST(EventIdTest, IsTheSameForEverAndDifferentForDifferentEvents) {
  // Fixed: devices' resends must meet events that an older release stored.
  EXPECT_EQ(EventIdOf("vm-1", 7, 1).ToUuid(), "495f5231-4b58-8711-b4d7-67cd1699faea");
  EXPECT_EQ(EventIdOf("vm-1", "m-1").ToUuid(), "4c56e7f3-6f99-8dad-bd76-05977ac27937");
  const std::vector<EventId> ids = {EventIdOf("vm-1", 7, 1), EventIdOf("vm-1", 1, 7), EventIdOf("vm-17", 0, 1),
                                    EventIdOf("vm-1", "7"),  EventIdOf("vm-1", ""),   EventIdOf("vm-", "17")};
  for (size_t i = 0; i < ids.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(ids[i], ids[j]) << i << " " << j;
  }
}

TEST(RecentIdsTest, RemembersUpToItsCapacity) {
  RecentIds ids(3);
  for (uint8_t i = 1; i <= 4; ++i) ids.MarkTaken(Id(i));
  EXPECT_FALSE(ids.Find(Id(1)).has_value());
  EXPECT_EQ(ids.Find(Id(2)), false);
  ids.MarkSafe(Id(2));
  EXPECT_EQ(ids.Find(Id(2)), true);
  ids.MarkSafe(Id(9));   // the completion came first
  ids.MarkTaken(Id(9));
  EXPECT_EQ(ids.Find(Id(9)), true);
  EXPECT_EQ(ids.size(), 3u);
}

TEST(TailRingTest, KeepsTheNewestAndSaysWhatWasMissed) {
  TailRing ring;
  for (int i = 1; i <= 1500; ++i) {
    ring.Add([i](TailEntry& slot) { slot.number = static_cast<uint64_t>(i); slot.bytes = "x"; });
  }
  EXPECT_EQ(ring.newest(), 1500u);
  const auto all = ring.ReadAfter(0, 10'000);
  ASSERT_THAT(all, SizeIs(1000));
  EXPECT_EQ(all.front().position, 501u);
  EXPECT_EQ(all.front().entry.number, 501u);
  EXPECT_EQ(all.back().entry.number, 1500u);
  EXPECT_THAT(ring.ReadAfter(1498, 1), SizeIs(1));
  EXPECT_THAT(ring.ReadAfter(1500, 1), SizeIs(0));
  EXPECT_FALSE(ring.WaitPast(1500, 0));
  EXPECT_TRUE(ring.WaitPast(1499, 0));
}

TEST(TailRingTest, IsBoundedInBytes) {
  TailRing ring;
  for (int i = 0; i < 100; ++i) ring.Add([](TailEntry& slot) { slot.bytes.assign(64 << 10, 'x'); });
  EXPECT_THAT(ring.ReadAfter(0, 1000), SizeIs(16));
}

TEST(TailRingTest, WakesWhoWaits) {
  TailRing ring;
  std::thread reader([&ring] { EXPECT_TRUE(ring.WaitPast(0, 20'000)); });
  ring.Add([](TailEntry& slot) { slot.bytes = "x"; });
  reader.join();
}

TEST(RejectLogTest, ShowsAllStoresAtItsRateAndCountsBoth) {
  ManualClock clock;
  std::vector<std::string> stored;
  RejectLog log({.stored_per_second = 10, .stored_burst = 5}, clock, [&stored](std::string row) { stored.push_back(std::move(row)); });
  for (int i = 0; i < 50; ++i) log.Add({.source = "mqtt:main", .where = "topic\n", .device_id = "\xff", .reason = "bad", .head = std::string(5000, '\0'), .size = 7});
  EXPECT_THAT(stored, SizeIs(5));
  EXPECT_EQ(log.count(), 50u);
  EXPECT_EQ(log.not_stored(), 45u);
  EXPECT_THAT(log.ReadAfter(0, 1000), SizeIs(50));
  clock.AdvanceMs(200);
  for (int i = 0; i < 50; ++i) log.Add({.reason = "bad"});
  EXPECT_THAT(stored, SizeIs(7));

  const auto entry = DecodeReject(stored[0]);
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->source, "mqtt:main");
  EXPECT_EQ(entry->where, "topic?");
  EXPECT_EQ(entry->device_id, "?");
  EXPECT_EQ(entry->head, std::string(1024, '\0'));
  EXPECT_EQ(entry->size, 5000u);
  for (size_t size = 0; size < stored[0].size(); ++size) EXPECT_FALSE(DecodeReject(stored[0].substr(0, size)).ok());

  log.Add({.head = std::string(devices::kMayNameAPerson), .size = 7});
  EXPECT_EQ(log.ReadAfter(0, 1000).back().entry.size, 7u) << "the message's, not the remark's";

  RejectLog next({}, clock, nullptr);
  EXPECT_EQ(next.Restore({stored[0], "junk", stored[1]}), 1u);
  EXPECT_THAT(next.ReadAfter(0, 10), SizeIs(2));
  EXPECT_EQ(next.count(), 0u);
}

class ClockWatchTest : public ::testing::Test {
 protected:
  static constexpr int64_t kFloor = 1'600'000'000'000;
  ManualClock clock{1000};   // 1970
  bool synced = false;
  ClockWatch watch{clock, Id(5), kFloor, [this] { return synced; }};
};

TEST_F(ClockWatchTest, TellsWhenTheClockBecomesKnown) {
  EXPECT_FALSE(watch.Poll());
  EXPECT_EQ(watch.state(), CLOCK_STATE_UNSET);
  clock.AdvanceMs(5000);
  clock.JumpWallMs(kFloor);
  auto fix = watch.Poll();
  ASSERT_TRUE(fix);
  EXPECT_EQ(fix->quality(), CLOCK_STATE_HELD);
  EXPECT_EQ(fix->offset_ms() + clock.BootMs(), clock.WallMs());
  EXPECT_FALSE(watch.Poll());
  synced = true;
  fix = watch.Poll();
  ASSERT_TRUE(fix);
  EXPECT_EQ(fix->quality(), CLOCK_STATE_SYNCED);
  EXPECT_EQ(fix->boot_id(), Id(5).View());
}

TEST_F(ClockWatchTest, TellsAStepOfASyncedClockButNotItsDrift) {
  clock.JumpWallMs(kFloor);
  synced = true;
  EXPECT_FALSE(watch.Poll());
  for (int i = 0; i < 100; ++i) {
    clock.AdvanceMs(1000);
    clock.JumpWallMs(20);
    EXPECT_FALSE(watch.Poll());
  }
  clock.JumpWallMs(3600'000);
  EXPECT_TRUE(watch.Poll());
  EXPECT_FALSE(watch.Poll());
}

TEST_F(ClockWatchTest, AClockThatIsLostAndFoundAgainIsTold) {
  clock.JumpWallMs(kFloor);
  synced = true;
  EXPECT_FALSE(watch.Poll());
  synced = false;
  EXPECT_FALSE(watch.Poll());
  EXPECT_EQ(watch.state(), CLOCK_STATE_HELD);
  synced = true;
  EXPECT_TRUE(watch.Poll());
}

TEST_F(ClockWatchTest, AnEarlierRunsEventsGetTheirFix) {
  clock.JumpWallMs(kFloor);
  watch.SawEarlier(CLOCK_STATE_UNSET);
  EXPECT_TRUE(watch.Poll());
  EXPECT_FALSE(watch.Poll());
}

TEST(ClockStateTest, ReadsTheKernel) {
  const auto id = ReadBootId();
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(*id, *ReadBootId());
  KernelClockIsSynced();   // whatever it says here, it must not fail
}

}  // namespace
}  // namespace sluice::intake
