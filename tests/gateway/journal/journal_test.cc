#include "tests/gateway/journal/journal_fixture.h"

namespace sluice::journal {
namespace {

TEST_F(JournalTest, NumbersRunFromOneInEachQueue) {
  Open();
  EXPECT_EQ(Append(1), 1u);
  EXPECT_EQ(Append(2), 2u);
  EXPECT_EQ(Append(1, nullptr, Queue::kShopBulk), 1u);
  EXPECT_EQ(journal_->LastNumber(kQueue), 2u);
  ExpectRecords(ReadAll(journal_->epoch().id), 1, 2);
}

TEST_F(JournalTest, CompletesEachWaiterOnceWhenSynced) {
  Open();
  for (int i = 1; i <= 100; ++i) Append(i, safe_.Expect());
  ASSERT_TRUE(safe_.WaitFor(100));
  EXPECT_EQ(safe_.ok(), 100u);
  EXPECT_TRUE(safe_.EachOnce());
  EXPECT_GE(files_.syncs(), 1u);
  EXPECT_NE(journal_->SyncedAtMs(kQueue, 100), 0);
  journal_->WhenSafe(journal_->epoch().id, kQueue, 50, safe_.Expect());
  EXPECT_EQ(safe_.ok(), 101u) << "at once";
}

TEST_F(JournalTest, AnAcknowledgementMakesSafeWithoutASync) {
  Open();
  journal_->LinkUp(Queue::kShopBulk, true);
  journal_->Acknowledged(journal_->epoch().id, Queue::kShopBulk, 0, 10'000'000);  // waits 200 ms from now on
  Append(1, safe_.Expect(), Queue::kShopBulk);
  const uint64_t syncs = journal_->figures().syncs;
  journal_->Acknowledged(journal_->epoch().id, Queue::kShopBulk, 1, 1000);
  EXPECT_EQ(safe_.ok(), 1u);
  EXPECT_EQ(journal_->figures().syncs, syncs);
}

TEST_F(JournalTest, TheNextRecordAfterASyncBeginsANewBlock) {
  Open();
  Append(1);
  ASSERT_TRUE(journal_->Sync().ok());
  const uint64_t before = journal_->figures().appended;
  uint64_t offset = 0;
  files_.SetOnWrite([&](const std::string&, uint64_t at, size_t size) {
    offset = at;
    return static_cast<int64_t>(size);
  });
  Append(2);
  EXPECT_EQ(offset % kBlockBytes, 0u);
  Append(3);
  EXPECT_NE(offset % kBlockBytes, 0u);
  files_.SetOnWrite(nullptr);
  EXPECT_EQ(journal_->figures().appended, before + 2);
  const EpochId epoch = journal_->epoch().id;
  Reopen();
  ExpectRecords(ReadAll(epoch), 1, 3);
}

TEST_F(JournalTest, ARestartIsANewEpochAndKeepsTheOldOne) {
  Open();
  const Epoch first = journal_->epoch();
  for (int i = 1; i <= 10; ++i) Append(i);
  Reopen();
  EXPECT_TRUE(journal_->found().clean_stop);
  ASSERT_EQ(journal_->found().epochs.size(), 1u);
  EXPECT_EQ(journal_->found().epochs[0].id, first.id);
  EXPECT_EQ(journal_->found().epochs[0].shop, "shop");
  EXPECT_GT(journal_->epoch().ordinal, first.ordinal) << "whatever the caller believes";
  EXPECT_EQ(Append(1), 1u);
  ExpectRecords(ReadAll(first.id), 1, 10);
  EXPECT_EQ(journal_->Holds(first.id, kQueue).last, 10u);
  std::vector<uint64_t> order;
  ASSERT_TRUE(journal_
                  ->ReadAll([&](Item item) {
                    order.push_back(item.first);
                    return true;
                  })
                  .ok());
  EXPECT_EQ(order.size(), 11u);
  EXPECT_EQ(order.back(), 1u);
}

TEST_F(JournalTest, ReadsFromTheMiddleAcrossSegments) {
  options_.max_segments = 40;
  Open();
  for (int i = 1; i <= 3000; ++i) Append(i, nullptr);
  EXPECT_GT(journal_->figures().segments, 5u);
  for (uint64_t from : {1u, 2u, 777u, 1500u, 2999u, 3000u}) {
    const auto items = ReadAll(journal_->epoch().id, from);
    ExpectRecords(items, from, 3000);
  }
  EXPECT_TRUE(ReadAll(journal_->epoch().id, 3001).empty());
}

// The index's marks stand every 64 KiB: one may fall on the first record after a sync, which names the bytes skipped before it.
TEST_F(JournalTest, ReadsFromAMarkThatStandsBehindASync) {
  options_.segment_bytes = 1 << 20;
  Open();
  uint64_t n = 0;
  while (n < 2000) {
    for (int i = 0; i < 7; ++i) Append(++n);
    ASSERT_TRUE(journal_->Sync().ok());
    Append(n, nullptr, Queue::kShopUrgent);   // the first of each block is rare
    ASSERT_TRUE(journal_->Sync().ok());
  }
  for (uint64_t from = 1; from < n; from += 13) ASSERT_EQ(ReadAll(journal_->epoch().id, from).size(), n - from + 1) << from;
  const uint64_t urgent = journal_->LastNumber(Queue::kShopUrgent);
  for (uint64_t from = 1; from <= urgent; ++from) {
    ASSERT_EQ(ReadAll(journal_->epoch().id, from, Queue::kShopUrgent).size(), urgent - from + 1) << from;
  }
}

TEST_F(JournalTest, ReadsFromAnywhereInALargeSegmentWithSyncsBetween) {
  options_.segment_bytes = 2 << 20;
  Open();
  constexpr uint64_t kCount = 6000;
  for (uint64_t i = 1; i <= kCount; ++i) {
    Append(i);
    if (i % 37 == 0) {
      ASSERT_TRUE(journal_->Sync().ok());
    }
  }
  for (uint64_t from = 1; from <= kCount; from += 61) {
    uint64_t next = from;
    ASSERT_TRUE(journal_
                    ->Read(journal_->epoch().id, kQueue, from, from + 99,
                           [&](Item item) {
                             EXPECT_EQ(item.first, next++);
                             return true;
                           })
                    .ok());
    ASSERT_EQ(next, std::min(from + 100, kCount + 1));
  }
}

TEST_F(JournalTest, SegmentsAreRecycledOnceReleasedAndRefusedBefore) {
  Open();
  uint64_t n = 0;
  absl::Status status;
  while (status.ok()) status = TryAppend(n + 1).status(), n += status.ok();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  tail_holder_->WaitForSpaceNeeded();
  EXPECT_EQ(journal_->figures().segments, 4u);
  EXPECT_FALSE(journal_->WaitForSpace(0));
  const uint64_t last = journal_->LastNumber(kQueue);
  EXPECT_EQ(last, n) << "a refused record takes no number";
  journal_->Release(journal_->epoch().id, kQueue, last / 2);
  ASSERT_TRUE(journal_->WaitForSpace(20'000));
  EXPECT_EQ(Append(n + 1), n + 1);
  const auto items = ReadAll(journal_->epoch().id, last / 2 + 1);
  ExpectRecords(items, last / 2 + 1, n + 1);
  EXPECT_EQ(journal_->figures().segments, 4u);
  EXPECT_GT(tail_holder_->segment_changes(), 0);
}

// R12, case 11: a cloud set back to before several restarts wants all of it again.
TEST_F(JournalTest, AStartKeepsWhatEarlierRunsDeliveredWhileItMayHaveAnotherSegment) {
  std::vector<EpochId> runs;
  const auto run = [&] {
    Reopen();
    runs.push_back(journal_->epoch().id);
    for (uint64_t n = 1; n <= 3; ++n) Append(n);
    ASSERT_TRUE(journal_->Sync().ok());
    journal_->Acknowledged(runs.back(), kQueue, 3, 1000);
    journal_->Release(runs.back(), kQueue, 3);
  };
  for (uint32_t i = 0; i < options_.max_segments; ++i) run();
  EXPECT_EQ(journal_->figures().segments, options_.max_segments);
  for (const EpochId& epoch : runs) ExpectRecords(ReadAll(epoch), 1, 3);

  run();   // the oldest makes room
  EXPECT_EQ(journal_->figures().segments, options_.max_segments);
  EXPECT_TRUE(ReadAll(runs[0]).empty());
  for (size_t i = 1; i < runs.size(); ++i) ExpectRecords(ReadAll(runs[i]), 1, 3);
}

TEST_F(JournalTest, AStartOnAFullDiskTakesWhatCanBeRecycled) {
  Open();
  Append(1);
  ASSERT_TRUE(journal_->Sync().ok());
  journal_->Acknowledged(journal_->epoch().id, kQueue, 1, 1000);
  journal_->Release(journal_->epoch().id, kQueue, 1);
  Reopen();   // both segments were used now
  Append(1);
  journal_->Release(journal_->epoch().id, kQueue, 1);
  journal_.reset();
  files_.SetOnWrite([](const std::string& path, uint64_t, size_t size) {
    return path.ends_with(".new") ? int64_t{-1} : static_cast<int64_t>(size);
  });
  Open();
  EXPECT_TRUE(journal_->WaitForSpace(20'000));
  EXPECT_EQ(Append(1), 1u);
  EXPECT_EQ(journal_->figures().segments, 2u);
}

TEST_F(JournalTest, ASecondProcessIsRefused) {
  Open();
  auto second = Journal::Open(options_, "gw", "shop", 1, files_, clock_, random_, nullptr);
  ASSERT_FALSE(second.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

TEST_F(JournalTest, ARecordThatIsTooLargeIsRefused) {
  Open();
  EXPECT_TRUE(absl::IsInvalidArgument(
      journal_->Append({kQueue, {}, 0, std::string(options_.max_record_bytes + 1, 'x')}, nullptr).status()));
  EXPECT_TRUE(journal_->Append({kQueue, {}, 0, std::string(options_.max_record_bytes, 'x')}, nullptr).ok());
}

TEST_F(JournalTest, PersonalRecordsAreSealedOnDisk) {
  std::array<uint8_t, Sealer::kKeyBytes> key{};
  key[3] = 5;
  sealer_ = std::make_unique<Sealer>(key);
  Open();
  const EpochId epoch = journal_->epoch().id;
  ASSERT_TRUE(journal_->Append({Queue::kAttendance, IdOf(1), 0, "user 4711 by finger"}, nullptr).ok());
  ASSERT_TRUE(journal_->Append({kQueue, IdOf(2), 0, "a sale in the clear"}, nullptr).ok());
  Reopen();
  std::string all;
  const auto names = files_.List(options_.folder);
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) all += Content(name);
  EXPECT_EQ(all.find("4711"), std::string::npos);
  EXPECT_NE(all.find("a sale in the clear"), std::string::npos);
  const auto items = ReadAll(epoch, 1, Queue::kAttendance);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].bytes, "user 4711 by finger");
}

}  // namespace
}  // namespace sluice::journal
