#include "gateway/intake/intake.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "base/strings.h"
#include "gateway/intake/event_id.h"
#include "tests/gateway/intake/intake_fixture.h"

namespace sluice::intake {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;

using IntakeTest = IntakeFixture;

TEST_F(IntakeTest, AcceptWritesTheEventToItsQueueWithEverythingFilledIn) {
  clock.AdvanceMs(5000);
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  const auto items = journal.items(Queue::kInventory);
  ASSERT_THAT(items, SizeIs(1));
  const auto event = EventOf(items[0]);
  EXPECT_EQ(event.event_id(), EventIdOf("vm-1", 7, 1).View());
  EXPECT_EQ(items[0].id, EventIdOf("vm-1", 7, 1));
  EXPECT_EQ(event.received_time_ms(), clock.WallMs());
  EXPECT_EQ(items[0].accepted_ms, clock.WallMs());
  EXPECT_EQ(event.since_boot_ms(), 5000);
  EXPECT_EQ(event.boot_id(), Uuid(7).View());
  EXPECT_EQ(event.clock_state(), event::v1::CLOCK_STATE_UNSET);
  EXPECT_EQ(event.sale().product_id(), "cola");
  EXPECT_EQ(intake->figures().accepted, 1u);
}

TEST_F(IntakeTest, TheReceiptWaitsUntilTheEventIsSafe) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 2)).ok());
  intake->Shutdown();   // sends what is owed: nothing
  EXPECT_THAT(channel.Take(), SizeIs(0));
  journal.MakeAllSafe();
  Restart();
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  EXPECT_TRUE(channel.Await([](const devices::Receipt& r) { return r.ranges == Ranges{{1, 2}}; }));
}

TEST_F(IntakeTest, AReceiptListsOnlyWhatIsSafe) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  journal.MakeAllSafe();
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 2)).ok());
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 2)).ok());   // a duplicate of what is not safe yet
  intake->Shutdown();
  const auto receipts = channel.Take();
  ASSERT_FALSE(receipts.empty());
  EXPECT_EQ(receipts.back().boot, 7u);
  EXPECT_EQ(receipts.back().ranges, (Ranges{{1, 1}}));
  EXPECT_EQ(intake->figures().duplicates, 1u);
}

TEST_F(IntakeTest, ADuplicateIsNotWrittenAgainAndReceiptedWithItsOriginal) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  EXPECT_THAT(journal.items(), SizeIs(1));
  journal.MakeAllSafe();
  EXPECT_TRUE(channel.Await([](const devices::Receipt& r) { return r.ranges == Ranges{{1, 1}}; }));
  channel.Take();
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());   // the receipt was lost
  EXPECT_TRUE(channel.Await([](const devices::Receipt& r) { return r.ranges == Ranges{{1, 1}}; }));
}

TEST_F(IntakeTest, ALateNumberIsAcceptedAndCounted) {
  journal.SafeAtOnce(true);
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 5)).ok());
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 3)).ok());
  EXPECT_THAT(journal.items(), SizeIs(2));
  EXPECT_EQ(intake->figures().late, 1u);
  ASSERT_THAT(intake->devices(), SizeIs(1));
  EXPECT_EQ(intake->devices()[0].figures.late, 1u);
  EXPECT_EQ(intake->devices()[0].figures.last_seq, 5u);
}

TEST_F(IntakeTest, ALowerBootIsANewBoot) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Accept(Sale("vm-1", 2, 1)).ok());
  EXPECT_THAT(journal.items(), SizeIs(2));
}

TEST_F(IntakeTest, NamedMessagesAreRecognisedAndReceiptedByName) {
  ASSERT_TRUE(Accept(Named("vm-1", "a")).ok());
  ASSERT_TRUE(Accept(Named("vm-1", "a")).ok());
  EXPECT_THAT(journal.items(), SizeIs(1));
  EXPECT_EQ(journal.items()[0].id, EventIdOf("vm-1", "a"));
  journal.MakeAllSafe();
  EXPECT_TRUE(channel.Await([](const devices::Receipt& r) {
    return r.boot == 0 && r.ranges.empty() && r.ids == std::vector<std::string>{"a"};
  }));
}

TEST_F(IntakeTest, WithoutNumberOrNameTwoEqualMessagesAreTwoEvents) {
  ASSERT_TRUE(Accept(Sale("vm-1", 0, 0)).ok());
  ASSERT_TRUE(Accept(Sale("vm-1", 0, 0)).ok());
  const auto items = journal.items();
  ASSERT_THAT(items, SizeIs(2));
  EXPECT_NE(items[0].id, items[1].id);
}

TEST_F(IntakeTest, ARefusedNumberIsNamedInTheReceiptAndShown) {
  auto bad = Sale("vm-1", 7, 3);
  bad.event.mutable_sale()->set_quantity(-1);
  const absl::Status status = Accept(std::move(bad));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_TRUE(channel.Await([](const devices::Receipt& r) {
    return r.boot == 7 && r.refused.size() == 1 && r.refused[0].seq == 3 &&
           r.refused[0].reason.find("quantity -1") != std::string::npos;
  }));
  EXPECT_THAT(journal.items(), SizeIs(0));
  const auto shown = intake->rejects().ReadAfter(0, 10);
  ASSERT_THAT(shown, SizeIs(1));
  EXPECT_THAT(shown[0].entry.reason, HasSubstr("quantity -1"));
  EXPECT_THAT(stored_rejects, SizeIs(1));
  EXPECT_EQ(intake->figures().rejected, 1u);
}

TEST_F(IntakeTest, ARefusedPunchLeavesNoTraceOfThePerson) {
  devices::DecodedEvent punch;
  punch.event.set_device_id("t-1");
  punch.event.mutable_punch()->set_user("4711");
  punch.event.mutable_punch()->set_verified_by(static_cast<event::v1::VerifiedBy>(99));
  EXPECT_FALSE(Accept(std::move(punch)).ok());
  ASSERT_THAT(stored_rejects, SizeIs(1));
  EXPECT_THAT(stored_rejects[0], ::testing::Not(HasSubstr("4711")));
}

TEST_F(IntakeTest, RefusalsOfAnEarlierRunAreShownInTheirOrder) {
  for (int i = 1; i <= 3; ++i) intake->Reject({.source = "mqtt:main", .reason = StrCat("reason ", i)});
  const std::vector<std::string> newest_first(stored_rejects.rbegin(), stored_rejects.rend());
  Restart();
  intake->RestoreRejects(newest_first);
  const auto shown = intake->rejects().ReadAfter(0, 10);
  ASSERT_THAT(shown, SizeIs(3));
  EXPECT_EQ(shown[0].entry.reason, "reason 1");
  EXPECT_EQ(shown[2].entry.reason, "reason 3");
  EXPECT_EQ(intake->figures().rejected, 0u);
}

TEST_F(IntakeTest, AForeignClaimIsDeniedAndCountedApart) {
  auto foreign = Sale("vm-1", 7, 3);
  foreign.event.set_gateway_id("gw-2");
  const absl::Status status = Accept(std::move(foreign));
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_EQ(intake->figures().foreign, 1u);
  auto own = Sale("vm-1", 7, 4);
  own.event.set_gateway_id("gw-1");
  own.event.set_shop_id("shop-1");
  EXPECT_TRUE(Accept(std::move(own)).ok());
}

TEST_F(IntakeTest, AfterAMoveTheOtherShopIsTheOwnOne) {
  const auto claim = [](uint64_t seq, const std::string& shop) {
    auto event = Sale("vm-1", 7, seq);
    event.event.set_shop_id(shop);
    return event;
  };
  EXPECT_TRUE(Accept(claim(1, "shop-1")).ok());
  intake->SetShop("shop-2");
  EXPECT_TRUE(absl::IsPermissionDenied(Accept(claim(2, "shop-1"))));
  EXPECT_TRUE(Accept(claim(3, "shop-2")).ok());
  ASSERT_THAT(journal.items(), SizeIs(2));
  for (const Item& item : journal.items()) {
    event::v1::DeviceEvent event;
    ASSERT_TRUE(event.ParseFromString(item.bytes));
    EXPECT_EQ(event.shop_id(), "") << "the epoch says whose it is";
  }
}

TEST_F(IntakeTest, AnEventThatIsTooLargeIsRefusedBeforeTheJournalSeesIt) {
  devices::DecodedEvent large;
  large.event.set_device_id("vm-1");
  large.event.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
  for (int i = 0; i < 64; ++i) (*large.event.mutable_status()->mutable_attributes())[std::to_string(i)] = std::string(1024, 'x');
  const absl::Status status = Accept(std::move(large));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("at most 65536"));
  EXPECT_THAT(journal.items(), SizeIs(0));
}

TEST_F(IntakeTest, AcceptWaitsForRoomAndGoesOnInOrder) {
  journal.Refuse(absl::ResourceExhaustedError("full"));
  std::thread source([this] {
    EXPECT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
    EXPECT_TRUE(Accept(Sale("vm-1", 7, 2)).ok());
  });
  journal.AwaitSpaceWaits(1);
  EXPECT_EQ(intake->figures().waiting, 1u);
  EXPECT_FALSE(intake->TakeChanged().contains("device/gw-1/vm-1"));   // not locked out by the one who waits
  journal.Refuse(absl::OkStatus());
  source.join();
  EXPECT_THAT(journal.items(), SizeIs(2));
  EXPECT_EQ(intake->figures().waiting, 0u);
  EXPECT_EQ(intake->figures().space_waits, 1u);
}

TEST_F(IntakeTest, ANumberThatWasNotWrittenIsNotTaken) {
  journal.Refuse(absl::ResourceExhaustedError("full"));
  std::thread source([this] { EXPECT_TRUE(absl::IsUnavailable(Accept(Sale("vm-1", 7, 1)))); });
  journal.AwaitSpaceWaits(1);
  intake->Shutdown();
  source.join();
  EXPECT_TRUE(absl::IsUnavailable(Accept(Sale("vm-1", 7, 1))));
  journal.Refuse(absl::OkStatus());
  Restart();
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  EXPECT_THAT(journal.items(), SizeIs(1));
}

TEST_F(IntakeTest, ARestartKnowsWhatTheJournalHolds) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Accept(Named("vm-2", "a")).ok());
  journal.MakeAllSafe();
  Restart();
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Accept(Named("vm-2", "a")).ok());
  EXPECT_THAT(journal.items(), SizeIs(2));
  EXPECT_TRUE(channel.Await([](const devices::Receipt& r) { return r.ranges == Ranges{{1, 1}}; }));
  EXPECT_TRUE(channel.Await([](const devices::Receipt& r) { return r.ids == std::vector<std::string>{"a"}; }));
}

TEST_F(IntakeTest, SavedRowsHoldOnlyWhatIsSafeAndComeBackAfterARestart) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  journal.MakeAllSafe();
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 2)).ok());   // lost with the power
  const auto rows = intake->TakeChanged();
  ASSERT_TRUE(rows.contains("device/gw-1/vm-1"));
  EXPECT_TRUE(intake->TakeChanged().empty());

  journal::FakeJournal empty;
  Intake next(options, empty, clock, random, watch, nullptr);
  ASSERT_TRUE(next.Restore(rows).ok());
  ASSERT_TRUE(next.Accept("mqtt:main", "", Sale("vm-1", 7, 1)).ok());
  EXPECT_EQ(next.figures().duplicates, 1u);
  ASSERT_TRUE(next.Accept("mqtt:main", "", Sale("vm-1", 7, 2)).ok());
  EXPECT_THAT(empty.items(), SizeIs(1));
}

TEST_F(IntakeTest, RowsThatWereGivenBackComeAgainUnlessNewerOnesDo) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Accept(Sale("vm-2", 7, 1)).ok());
  journal.MakeAllSafe();
  const auto first = intake->TakeChanged();
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 2)).ok());
  journal.MakeAllSafe();
  intake->GiveBack(first);
  const auto again = intake->TakeChanged();
  EXPECT_EQ(again.at("device/gw-1/vm-2"), first.at("device/gw-1/vm-2"));
  EXPECT_NE(again.at("device/gw-1/vm-1"), first.at("device/gw-1/vm-1"));
}

TEST_F(IntakeTest, RowsThatCannotBeReadAreCountedAndPassedOver) {
  Restart({{"device/gw-1/vm-1", "\xff\xff"}, {"device/gw-1/vm-2", "junk"}, {"device/gw-1/..", "x"}, {"other", "x"}});
  EXPECT_EQ(intake->figures().snapshot_errors, 2u);
  EXPECT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
}

TEST_F(IntakeTest, WhatAnotherIdentityOfTheBoxTookIsNotADuplicate) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  journal.MakeAllSafe();
  const auto rows = intake->TakeChanged();
  Item foreign = journal.items()[0];
  foreign.epoch = Uuid(3);

  journal::FakeJournal store;
  store.SeedEpoch({.id = Uuid(3), .ordinal = 1, .gateway = "gw-1", .shop = "shop-1"});
  store.Seed(foreign);
  Options renamed = options;
  renamed.gateway = "gw-2";
  Intake next(renamed, store, clock, random, watch, nullptr);
  ASSERT_TRUE(next.Restore(rows).ok());
  ASSERT_TRUE(next.Accept("mqtt:main", "", Sale("vm-1", 7, 1)).ok());
  EXPECT_EQ(next.figures().duplicates, 0u);
  EXPECT_EQ(next.figures().accepted, 1u);
}

TEST_F(IntakeTest, TheTailShowsWhatWasAcceptedAsItWasEncoded) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  const auto tail = intake->tail().ReadAfter(0, 10);
  ASSERT_THAT(tail, SizeIs(1));
  EXPECT_EQ(tail[0].entry.bytes, journal.items()[0].bytes);
  EXPECT_EQ(tail[0].entry.number, 1u);
}

TEST_F(IntakeTest, OfflineByWillEndsWhenTheDeviceSpeaksAgain) {
  devices::DecodedEvent will;
  will.event.set_device_id("vm-1");
  will.event.mutable_status()->set_state(event::v1::Status::STATE_OFFLINE);
  ASSERT_TRUE(Accept(std::move(will)).ok());
  EXPECT_EQ(intake->devices()[0].figures.state, "offline");
  EXPECT_TRUE(intake->devices()[0].figures.offline_by_will);
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  EXPECT_EQ(intake->devices()[0].figures.state, "online");
}

TEST_F(IntakeTest, CompletionsMayComeAfterTheIntakeIsGone) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Accept(Named("vm-1", "a")).ok());
  intake.reset();
  EXPECT_EQ(journal.MakeAllSafe(), 2u);
}

TEST_F(IntakeTest, NoReceiptWhenTheJournalClosesFirst) {
  ASSERT_TRUE(Accept(Sale("vm-1", 7, 1)).ok());
  journal.Fail(absl::CancelledError("closed"));
  intake->Shutdown();
  EXPECT_THAT(channel.Take(), SizeIs(0));
}

TEST_F(IntakeTest, DevicesThatAreForgottenAreDeletedFromTheSavedRows) {
  options.max_devices = 20;
  Restart();
  journal.SafeAtOnce(true);
  for (int i = 0; i < 20; ++i) {
    clock.AdvanceMs(1);
    ASSERT_TRUE(Accept(Sale(StrCat("vm-", i), 1, 1)).ok());
  }
  intake->Shutdown();   // nothing is owed any more
  EXPECT_THAT(intake->TakeChanged(), SizeIs(20));
  Restart({});
  EXPECT_LE(intake->figures().devices, 20u);
  (void)intake->TakeChanged();
  journal.SafeAtOnce(false);
  ASSERT_TRUE(Accept(Sale("vm-new", 1, 1)).ok());
  EXPECT_LE(intake->figures().devices, 20u);
  const auto rows = intake->TakeChanged();
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows.begin()->second, "");
}

TEST_F(IntakeTest, AClockThatBecomesKnownIsToldToEveryQueueOnce) {
  bool synced = false;
  ClockWatch late(clock, Uuid(9), clock.WallMs() + 1000, [&synced] { return synced; });
  Intake own(options, journal, clock, random, late, nullptr);
  ASSERT_TRUE(own.PollClock().ok());
  ASSERT_TRUE(own.Accept("s", "", Sale("vm-1", 7, 1)).ok());
  clock.JumpWallMs(1'000'000);
  synced = true;
  ASSERT_TRUE(own.PollClock().ok());
  ASSERT_TRUE(own.PollClock().ok());
  for (const Queue queue : kAllQueues) {
    const auto items = journal.items(queue);
    ASSERT_FALSE(items.empty());
    const auto event = EventOf(items.back());
    EXPECT_EQ(event.clock_fix().offset_ms(), clock.WallMs() - clock.BootMs());
    EXPECT_EQ(event.clock_fix().boot_id(), Uuid(9).View());
    EXPECT_EQ(event.clock_fix().quality(), event::v1::CLOCK_STATE_SYNCED);
    EXPECT_EQ(event.device_id(), "gw-1");
  }
  EXPECT_THAT(journal.items(), SizeIs(5));
}

TEST_F(IntakeTest, AClockFixThatFindsNoRoomComesLater) {
  bool synced = false;
  ClockWatch late(clock, Uuid(9), 0, [&synced] { return synced; });
  Intake own(options, journal, clock, random, late, nullptr);
  ASSERT_TRUE(own.PollClock().ok());
  synced = true;
  journal.Refuse(absl::ResourceExhaustedError("full"));
  EXPECT_FALSE(own.PollClock().ok());
  journal.Refuse(absl::OkStatus());
  EXPECT_TRUE(own.PollClock().ok());
  EXPECT_THAT(journal.items(), SizeIs(4));
}

TEST_F(IntakeTest, ManyThreadsKeepTheOrderOfEachDeviceAndLoseNothing) {
  static constexpr int kDevices = 6, kEvents = 400;
  std::atomic<bool> done{false};
  std::thread syncer([&] {
    while (!done) {
      journal.MakeAllSafe();
      intake->GiveBack(intake->TakeChanged());
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> sources;
  for (int d = 0; d < kDevices; ++d) {
    sources.emplace_back([this, d] {
      for (uint64_t seq = 1; seq <= kEvents; ++seq) {
        EXPECT_TRUE(Accept(Sale(StrCat("vm-", d), 1, seq)).ok());
        if (seq % 7 == 0) {
          EXPECT_TRUE(Accept(Sale(StrCat("vm-", d), 1, seq)).ok());
        }
      }
    });
  }
  // One device that speaks over two sources at once.
  sources.emplace_back([this] {
    for (uint64_t seq = 1; seq <= kEvents; ++seq) {
      EXPECT_TRUE(intake->Accept("serial:x", "", Sale("vm-shared", 1, seq)).ok());
    }
  });
  sources.emplace_back([this] {
    for (uint64_t seq = 1; seq <= kEvents; ++seq) EXPECT_TRUE(Accept(Sale("vm-shared", 1, seq)).ok());
  });
  for (auto& source : sources) source.join();
  done = true;
  syncer.join();
  journal.MakeAllSafe();
  std::map<std::string, std::map<uint64_t, int>> seen;
  std::map<std::string, uint64_t> last;
  for (const Item& item : journal.items()) {
    const auto event = EventOf(item);
    ++seen[event.device_id()][event.sequence().seq()];
    if (event.device_id() != "vm-shared") {
      EXPECT_EQ(event.sequence().seq(), ++last[event.device_id()]);
    }
  }
  ASSERT_THAT(seen, SizeIs(kDevices + 1));
  for (const auto& [device, numbers] : seen) {
    EXPECT_THAT(numbers, SizeIs(kEvents)) << device;
    for (const auto& [seq, times] : numbers) EXPECT_EQ(times, 1) << device << " " << seq;
  }
  EXPECT_EQ(intake->figures().accepted, static_cast<uint64_t>((kDevices + 1) * kEvents));
  EXPECT_TRUE(channel.Await([](const devices::Receipt& r) { return r.ranges == Ranges{{1, kEvents}}; }));
}

}  // namespace
}  // namespace sluice::intake
