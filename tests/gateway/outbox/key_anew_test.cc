// New epochs while the daemon runs, and pending items under fresh keys (delivery rule R9, cases 9, 11 and 25).
#include "tests/fakes/full_disk.h"
#include "tests/gateway/outbox/outbox_fixture.h"

namespace sluice::outbox {
namespace {

constexpr Queue kQueue = Queue::kInventory;

class KeyAnewTest : public OutboxTest {
 protected:
  void AppendMany(Queue queue, int count) {
    for (int i = 0; i < count; ++i) Append(queue);
  }
  // What HeldEpochs says of the queue, each as "first-last/acked".
  std::vector<std::string> Held(Queue queue) {
    std::vector<std::string> out;
    for (const auto& held : outbox_->HeldEpochs(queue)) {
      out.push_back(StrCat(held.first, "-", held.last, "/", held.acked_to));
    }
    return out;
  }
  EpochId HeldAt(Queue queue, size_t index) { return outbox_->HeldEpochs(queue).at(index).epoch.id; }
  // The ids of everything pending on the queue, in the order in which it is sent.
  std::vector<uint64_t> Pending(Queue queue) {
    std::vector<uint64_t> out;
    for (const auto& held : outbox_->HeldEpochs(queue)) {
      uint64_t next = held.acked_to + 1;
      for (const Item& item : ReadAll(queue, held.epoch.id, next)) {
        EXPECT_EQ(item.epoch, held.epoch.id);
        EXPECT_EQ(item.first, next);
        next = item.last + 1;
        EXPECT_FALSE(item.IsGap());
        uint64_t n = 0;
        for (int i = 0; i < 8; ++i) n |= static_cast<uint64_t>(item.id.bytes[i]) << (8 * i);
        EXPECT_EQ(item.bytes, BodyOf(queue, n));
        out.push_back(n);
      }
    }
    return out;
  }
  static std::vector<uint64_t> Range(uint64_t first, uint64_t last) {
    std::vector<uint64_t> out;
    for (uint64_t n = first; n <= last; ++n) out.push_back(n);
    return out;
  }
};

TEST_F(KeyAnewTest, WhatIsPendingGoesOutUnderFreshKeysInItsOrder) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  auto safe = std::make_shared<std::atomic<int>>(0);
  AppendMany(kQueue, 15);
  SpillAll(kQueue);
  AppendMany(kQueue, 10);
  outbox_->Acknowledge(kQueue, epoch, 10);
  ASSERT_TRUE(journal_->Append({kQueue, IdOf(++appended_), 0, BodyOf(kQueue, appended_)}, [=](absl::Status status) {
    *safe += status.ok();
  }).ok());
  ASSERT_TRUE(outbox_->KeyAnew(kQueue, epoch, 10).ok());
  EXPECT_EQ(*safe, 1) << "who waited for it was told";
  EXPECT_EQ(Held(kQueue), (std::vector<std::string>{"1-10/10", "1-16/0", "0-0/0"}));
  EXPECT_EQ(HeldAt(kQueue, 0), epoch);
  EXPECT_EQ(HeldAt(kQueue, 2), journal_->epoch().id);
  EXPECT_EQ(outbox_->RunningEpoch(kQueue).id, journal_->epoch().id);
  EXPECT_EQ(outbox_->HeldEpochs(kQueue)[1].epoch.shop, "shop");
  AppendMany(kQueue, 4);
  EXPECT_EQ(Held(kQueue)[2], "1-4/0");
  EXPECT_EQ(Pending(kQueue), Range(11, 30));
  const EpochId fresh = HeldAt(kQueue, 1);
  EXPECT_EQ(outbox_->IdAt(kQueue, fresh, 1), IdOf(11));
  EXPECT_EQ(outbox_->IdAt(kQueue, fresh, 16), IdOf(26));
  EXPECT_EQ(outbox_->IdAt(kQueue, fresh, 17), std::nullopt);
  EXPECT_EQ(outbox_->IdAt(kQueue, epoch, 11), std::nullopt) << "the other box's";
  EXPECT_EQ(outbox_->figures(kQueue).pending, 20u);
  EXPECT_EQ(outbox_->counters()["keyed_anew"], 16);
}

TEST_F(KeyAnewTest, AcknowledgementsUnderTheFreshKeysLetGo) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  AppendMany(kQueue, 30);
  outbox_->Acknowledge(kQueue, epoch, 10);
  ASSERT_TRUE(outbox_->KeyAnew(kQueue, epoch, 10).ok());
  AppendMany(kQueue, 5);
  const EpochId fresh = HeldAt(kQueue, 1);
  outbox_->Acknowledge(kQueue, epoch, 12);
  EXPECT_EQ(outbox_->figures(kQueue).pending, 25u) << "the numbers 11 and 12 of the old keys are another box's";
  outbox_->Acknowledge(kQueue, fresh, 7);
  EXPECT_EQ(Held(kQueue), (std::vector<std::string>{"1-10/10", "1-20/7", "1-5/0"}));
  EXPECT_EQ(Pending(kQueue), Range(18, 35));
  outbox_->Acknowledge(kQueue, fresh, 20);
  outbox_->Acknowledge(kQueue, journal_->epoch().id, 5);
  EXPECT_EQ(outbox_->figures(kQueue).pending, 0u);
}

TEST_F(KeyAnewTest, ARunningEpochIsGivenUpOnEveryQueue) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  AppendMany(kQueue, 5);
  AppendMany(Queue::kAttendance, 8);
  outbox_->Acknowledge(Queue::kAttendance, epoch, 3);
  AppendMany(Queue::kShopBulk, 2);
  outbox_->Acknowledge(Queue::kShopBulk, epoch, 2);
  ASSERT_TRUE(outbox_->KeyAnew(kQueue, epoch, 0).ok());
  EXPECT_EQ(Held(kQueue), (std::vector<std::string>{"1-5/0", "0-0/0"}));
  EXPECT_EQ(Held(Queue::kAttendance), (std::vector<std::string>{"1-3/3", "1-5/0", "0-0/0"}));
  EXPECT_EQ(Held(Queue::kShopBulk), (std::vector<std::string>{"1-2/2", "0-0/0"}));
  EXPECT_EQ(Pending(Queue::kAttendance), Range(9, 13));
  EXPECT_NE(HeldAt(kQueue, 0), epoch);
}

TEST_F(KeyAnewTest, OfAnEarlierEpochOnlyItsQueueIsTouched) {
  Open();
  const EpochId first = journal_->epoch().id;
  AppendMany(kQueue, 20);
  AppendMany(Queue::kAttendance, 4);
  Restart();
  const EpochId running = journal_->epoch().id;
  AppendMany(kQueue, 3);
  ASSERT_TRUE(outbox_->KeyAnew(kQueue, first, 0).ok());
  EXPECT_EQ(journal_->epoch().id, running);
  EXPECT_EQ(Held(kQueue), (std::vector<std::string>{"1-20/0", "1-3/0"}));
  EXPECT_NE(HeldAt(kQueue, 0), first);
  EXPECT_EQ(HeldAt(Queue::kAttendance, 0), first);
  std::vector<uint64_t> expected = Range(1, 20);
  for (uint64_t n : Range(25, 27)) expected.push_back(n);
  EXPECT_EQ(Pending(kQueue), expected);
}

TEST_F(KeyAnewTest, TheFreshKeysOutliveTheProcess) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  AppendMany(kQueue, 30);
  SpillAll(kQueue);
  AppendMany(kQueue, 10);
  outbox_->Acknowledge(kQueue, epoch, 10);
  ASSERT_TRUE(outbox_->KeyAnew(kQueue, epoch, 10).ok());
  const EpochId fresh = HeldAt(kQueue, 1);
  AppendMany(kQueue, 2);
  outbox_->Acknowledge(kQueue, fresh, 4);
  Restart();
  EXPECT_EQ(Held(kQueue), (std::vector<std::string>{"1-10/10", "1-30/4", "1-2/0", "0-0/0"}));
  EXPECT_EQ(HeldAt(kQueue, 1), fresh);
  EXPECT_EQ(Pending(kQueue), Range(15, 42));
}

TEST_F(KeyAnewTest, WhereNothingCanBeTrustedAllThatIsHeldIsKeyedAnew) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  AppendMany(kQueue, 20);
  SpillAll(kQueue);
  AppendMany(kQueue, 20);
  outbox_->Acknowledge(kQueue, epoch, 35);
  ASSERT_TRUE(outbox_->KeyAnew(kQueue, epoch, 0).ok());
  EXPECT_EQ(Held(kQueue), (std::vector<std::string>{"1-40/0", "0-0/0"}));
  EXPECT_EQ(Pending(kQueue), Range(1, 40));
  Restart();
  EXPECT_EQ(Pending(kQueue), Range(1, 40));
}

TEST_F(KeyAnewTest, ARestoredCloudIsServedThroughOldAndFreshKeys) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  AppendMany(kQueue, 20);
  SpillAll(kQueue);
  outbox_->Acknowledge(kQueue, epoch, 10);
  ASSERT_TRUE(outbox_->KeyAnew(kQueue, epoch, 10).ok());
  const EpochId fresh = HeldAt(kQueue, 1);
  AppendMany(kQueue, 5);
  outbox_->Acknowledge(kQueue, fresh, 10);
  outbox_->Acknowledge(kQueue, journal_->epoch().id, 5);
  const EpochId running = journal_->epoch().id;
  ASSERT_TRUE(outbox_->Recover(kQueue, {{epoch, 12}, {fresh, 4}, {running, 0}}).ok());
  EXPECT_EQ(Pending(kQueue), Range(15, 25));
  ASSERT_TRUE(outbox_->Recover(kQueue, {{epoch, 6}, {fresh, 0}, {running, 0}}).ok());
  EXPECT_EQ(Held(kQueue), (std::vector<std::string>{"1-10/6", "1-10/0", "1-5/0"}));
  EXPECT_EQ(Pending(kQueue), Range(7, 25));
  ASSERT_TRUE(outbox_->Recover(kQueue, {{epoch, 99}, {fresh, 10}, {running, 5}}).ok());
  EXPECT_EQ(outbox_->figures(kQueue).pending, 0u);
}

TEST_F(KeyAnewTest, ACloudThatContradictsAgainAndAgainCostsOneEpochAtATime) {
  Open();
  AppendMany(kQueue, 10);
  outbox_->Acknowledge(kQueue, journal_->epoch().id, 5);
  ASSERT_TRUE(outbox_->KeyAnew(kQueue, journal_->epoch().id, 5).ok());
  for (int i = 0; i < 20; ++i) {
    const EpochId contradicted = HeldAt(kQueue, 1);
    ASSERT_TRUE(outbox_->KeyAnew(kQueue, contradicted, 0).ok());
    EXPECT_EQ(Held(kQueue), (std::vector<std::string>{"1-5/5", "1-5/0", "0-0/0"}));
    EXPECT_NE(HeldAt(kQueue, 1), contradicted);
    EXPECT_EQ(Pending(kQueue), Range(6, 10));
  }
}

TEST_F(KeyAnewTest, BulkThatIsDroppedLaterIsAGapUnderTheFreshKeys) {
  options_.quota_bytes = 4 << 20;
  options_.reserved_bytes = 1 << 20;
  options_.memory_bytes = 1 << 20;
  Open();
  const Queue bulk = Queue::kShopBulk;
  const EpochId epoch = journal_->epoch().id;
  AppendMany(bulk, 1000);
  SpillAll(bulk);
  outbox_->Acknowledge(bulk, epoch, 100);
  ASSERT_TRUE(outbox_->KeyAnew(bulk, epoch, 100).ok());
  const EpochId fresh = HeldAt(bulk, 1);
  AppendMany(bulk, 60'000);
  SpillAll(bulk);
  const auto items = ReadAll(bulk, fresh, 1, 500);
  ASSERT_FALSE(items.empty());
  EXPECT_EQ(Shape(items), "1-900:quota");
  EXPECT_EQ(ReadAll(bulk, journal_->epoch().id, 1, 500).back().last, 60'000u);
}

TEST_F(KeyAnewTest, PersonalEventsOpenUnderTheFreshKeys) {
  const Sealer sealer(std::array<uint8_t, Sealer::kKeyBytes>{9});
  sealer_ = &sealer;
  Open();
  const Queue queue = Queue::kAttendance;
  AppendMany(queue, 10);
  SpillAll(queue);
  AppendMany(queue, 10);
  ASSERT_TRUE(outbox_->KeyAnew(queue, journal_->epoch().id, 0).ok());
  AppendMany(queue, 5);
  EXPECT_EQ(Pending(queue), Range(1, 25));
  Restart();
  EXPECT_EQ(Pending(queue), Range(1, 25));
}

TEST_F(KeyAnewTest, ASalvagedDatabaseKeepsTheFreshKeys) {
  Open();
  AppendMany(kQueue, 5000);
  SpillAll(kQueue);
  ASSERT_TRUE(outbox_->KeyAnew(kQueue, journal_->epoch().id, 0).ok());
  const EpochId fresh = HeldAt(kQueue, 0);
  Stop();
  {
    std::fstream file(folder_ / "outbox.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(40 * 4096);
    file << std::string(4096, '\x5A');
  }
  Open();
  ASSERT_EQ(outbox_->start_report().set_aside.size(), 1u);
  EXPECT_EQ(HeldAt(kQueue, 0), fresh);
  EXPECT_EQ(ReadAll(kQueue, fresh, 1, 500).back().last, 5000u);
}

TEST_F(KeyAnewTest, OnAFullDiskNothingChangesUntilThereIsRoom) {
  fakes::FullDisk disk;
  Open();
  const EpochId epoch = journal_->epoch().id;
  AppendMany(kQueue, 10);
  disk.Fill();
  EXPECT_FALSE(outbox_->KeyAnew(kQueue, epoch, 0).ok());
  EXPECT_EQ(HeldAt(kQueue, 0), epoch);
  EXPECT_EQ(journal_->epoch().id, epoch);
  EXPECT_EQ(Pending(kQueue), Range(1, 10));
  disk.Free();
  EXPECT_TRUE(outbox_->KeyAnew(kQueue, epoch, 0).ok());
  EXPECT_EQ(Pending(kQueue), Range(1, 10));
  EXPECT_NE(HeldAt(kQueue, 0), epoch);
}

TEST_F(KeyAnewTest, WithoutASegmentForTheNewEpochWhatComesFollowsUnderTheFreshKeys) {
  journal_options_.min_segments = journal_options_.max_segments = 2;
  options_.quota_bytes = 0;   // nothing can be stored, nothing released
  Open();
  const EpochId epoch = journal_->epoch().id;
  while (journal_->figures().segment_changes < 2) Append(kQueue);
  ASSERT_TRUE(outbox_->KeyAnew(kQueue, epoch, 0).ok());
  EXPECT_EQ(journal_->epoch().id, epoch);
  EXPECT_EQ(outbox_->counters()["epochs_not_begun"], 1);
  const EpochId fresh = outbox_->RunningEpoch(kQueue).id;
  EXPECT_NE(fresh, epoch);
  AppendMany(kQueue, 3);
  EXPECT_EQ(outbox_->HeldEpochs(kQueue).back().epoch.id, fresh);
  EXPECT_EQ(Pending(kQueue), Range(1, appended_));
  outbox_->Acknowledge(kQueue, fresh, appended_);
  EXPECT_EQ(outbox_->figures(kQueue).pending, 0u);
}

TEST_F(KeyAnewTest, AnotherShopIsAnotherEpochAndWhatWasAcceptedKeepsItsOwn) {
  Open();
  const EpochId first = journal_->epoch().id;
  AppendMany(kQueue, 10);
  ASSERT_TRUE(outbox_->BeginEpoch("shop-2").ok());
  AppendMany(kQueue, 5);
  auto held = outbox_->HeldEpochs(kQueue);
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0].epoch.id, first);
  EXPECT_EQ(held[0].epoch.shop, "shop");
  EXPECT_EQ(held[0].last, 10u);
  EXPECT_EQ(held[1].epoch.shop, "shop-2");
  EXPECT_EQ(held[1].last, 5u);
  EXPECT_EQ(outbox_->RunningEpoch(kQueue).shop, "shop-2");
  EXPECT_EQ(Pending(kQueue), Range(1, 15));
  SpillAll(kQueue);
  Restart();
  held = outbox_->HeldEpochs(kQueue);
  ASSERT_EQ(held.size(), 3u);
  EXPECT_EQ(held[0].epoch.shop, "shop");
  EXPECT_EQ(held[1].epoch.shop, "shop-2");
  EXPECT_EQ(Pending(kQueue), Range(1, 15));
}

// R9 and R12: a cloud that was restored to before epochs that are long acknowledged is told what it will never get.
TEST_F(KeyAnewTest, AnEpochOfWhichNothingIsHeldStaysListedAndItsGapIsNamed) {
  options_.replay_window_bytes = 0;
  journal_options_.min_segments = 2;
  journal_options_.max_segments = 3;
  Open();
  const EpochId first = journal_->epoch().id;
  AppendMany(kQueue, 50);
  SpillAll(kQueue);
  outbox_->Acknowledge(kQueue, first, 50);
  while (outbox_->counters()["trimmed_rows"] == 0) {
    outbox_->OnSegmentChange();
    std::this_thread::yield();
  }
  for (int life = 0; life < 4; ++life) {
    Restart();
    Append(kQueue);
    outbox_->Acknowledge(kQueue, journal_->epoch().id, 1);
  }
  ASSERT_EQ(journal_->Holds(first, kQueue).first, 0u) << "its segment was recycled";
  EXPECT_EQ(HeldAt(kQueue, 0), first);
  EXPECT_EQ(Held(kQueue)[0], "0-50/50");
  EXPECT_EQ(Held(kQueue).size(), 5u);
  ASSERT_TRUE(outbox_->Recover(kQueue, {{first, 20}}).ok());
  EXPECT_EQ(Shape(ReadAll(kQueue, first, 21)), "21-50:beyond_replay_window");
  EXPECT_EQ(outbox_->counters()["beyond_replay_window"], 1);
  EXPECT_EQ(outbox_->counters()["gaps_declared"], 0) << "nothing is damaged";
  outbox_->Acknowledge(kQueue, first, 50);
  Restart();
  EXPECT_EQ(HeldAt(kQueue, 0), first);
}

TEST_F(KeyAnewTest, ABoundedNumberOfFinishedEpochsIsRemembered) {
  options_.replay_window_bytes = 0;
  Open();
  std::vector<EpochId> epochs;
  for (int i = 0; i < 300; ++i) {
    epochs.push_back(journal_->epoch().id);
    Append(kQueue);
    outbox_->Acknowledge(kQueue, epochs.back(), 1);
    ASSERT_TRUE(outbox_->BeginEpoch("shop").ok());
  }
  Restart();
  const auto held = outbox_->HeldEpochs(kQueue);
  // Those that the journal still holds come on top.
  EXPECT_GE(held.size(), 257u);
  EXPECT_LE(held.size(), 257u + journal_options_.max_segments);
  EXPECT_EQ(held[held.size() - 2].epoch.id, epochs.back());
  EXPECT_EQ(outbox_->HeldEpochs(Queue::kAttendance).size(), 1u) << "an epoch in which nothing was taken is none";
}

}  // namespace
}  // namespace sluice::outbox
