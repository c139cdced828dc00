#include "tests/gateway/outbox/outbox_fixture.h"

namespace sluice::outbox {
namespace {

TEST_F(OutboxTest, ReadsFromMemoryWithoutTheDatabase) {
  Open();
  for (int i = 0; i < 20; ++i) Append(Queue::kInventory);
  const auto items = ReadAll(Queue::kInventory, journal_->epoch().id, 1);
  ASSERT_EQ(items.size(), 20u);
  EXPECT_EQ(items[4].bytes, BodyOf(Queue::kInventory, 5));
  EXPECT_EQ(items[4].id, IdOf(5));
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 20u);
  EXPECT_EQ(outbox_->counters()["spilled_rows"], 0);
}

TEST_F(OutboxTest, WakesOnceUntilReadEmpty) {
  Open();
  std::atomic<int> wakes = 0;
  outbox_->SetWakeup(Queue::kInventory, [&] { ++wakes; });
  Append(Queue::kInventory);
  Append(Queue::kInventory);
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(ReadAll(Queue::kInventory, journal_->epoch().id, 1).size(), 2u);
  Append(Queue::kInventory);
  EXPECT_EQ(wakes, 2);
}

TEST_F(OutboxTest, ReadsAcrossDatabaseAndMemoryInOrder) {
  Open();
  for (int i = 0; i < 30; ++i) Append(Queue::kShopBulk);
  SpillAll(Queue::kShopBulk);
  for (int i = 0; i < 30; ++i) Append(Queue::kShopBulk);
  const auto items = ReadAll(Queue::kShopBulk, journal_->epoch().id, 1);
  ASSERT_EQ(items.size(), 60u);
  for (size_t i = 0; i < items.size(); ++i) EXPECT_EQ(items[i].bytes, BodyOf(Queue::kShopBulk, i + 1));
  const auto figures = outbox_->figures(Queue::kShopBulk);
  EXPECT_EQ(figures.pending, 60u);
  // The writer, which was asked for room, may take what comes before it has looked again.
  EXPECT_GE(figures.stored, 30u);
  EXPECT_EQ(figures.stored + figures.in_memory, 60u);
}

TEST_F(OutboxTest, AcknowledgeDropsAndCompletes) {
  Open();
  auto safe = std::make_shared<std::atomic<int>>(0);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(journal_->Append({Queue::kInventory, IdOf(i), 0, "x"}, [=](absl::Status s) { *safe += s.ok(); }).ok());
  }
  outbox_->Acknowledge(Queue::kInventory, journal_->epoch().id, 3);
  EXPECT_GE(*safe, 3);
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, 2u);
  EXPECT_EQ(outbox_->HeldEpochs(Queue::kInventory).back().acked_to, 3u);
}

TEST_F(OutboxTest, ARestartFindsWhatWasPendingUnderItsOldKeys) {
  Open();
  const EpochId first = journal_->epoch().id;
  for (int i = 0; i < 40; ++i) Append(Queue::kAttendance);
  outbox_->Acknowledge(Queue::kAttendance, first, 10);
  Restart();
  Append(Queue::kAttendance);
  const auto held = outbox_->HeldEpochs(Queue::kAttendance);
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0].epoch.id, first);
  EXPECT_EQ(held[0].last, 40u);
  EXPECT_EQ(held[0].acked_to, 10u);
  EXPECT_EQ(held[1].epoch.id, journal_->epoch().id);
  EXPECT_GT(held[1].epoch.ordinal, held[0].epoch.ordinal);
  const auto items = ReadAll(Queue::kAttendance, first, 11);
  ASSERT_EQ(items.size(), 30u);
  EXPECT_EQ(items[0].bytes, BodyOf(Queue::kAttendance, 11));
  EXPECT_EQ(ReadAll(Queue::kAttendance, journal_->epoch().id, 1).size(), 1u);
}

TEST_F(OutboxTest, AFullJournalIsRelievedByTheDatabase) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  constexpr uint64_t kCount = 20'000;  // about 2 MiB through at most 8 segments of 64 KiB
  for (uint64_t i = 0; i < kCount; ++i) Append(Queue::kInventory);
  const auto items = ReadAll(Queue::kInventory, epoch, 1, 500);
  ASSERT_EQ(items.size(), kCount);
  for (size_t i = 0; i < items.size(); ++i) {
    ASSERT_FALSE(items[i].IsGap());
    ASSERT_EQ(items[i].id, IdOf(i + 1));
  }
  EXPECT_EQ(outbox_->figures(Queue::kInventory).pending, kCount);
  Restart();
  EXPECT_EQ(ReadAll(Queue::kInventory, epoch, 1, 500).size(), kCount);
}

TEST_F(OutboxTest, BulkBeyondTheQuotaBecomesOneGap) {
  options_.quota_bytes = 4 << 20;
  options_.reserved_bytes = 1 << 20;
  options_.memory_bytes = 1 << 20;
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 60'000; ++i) Append(Queue::kShopBulk);
  for (int i = 0; i < 1000; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kShopBulk);
  SpillAll(Queue::kInventory);
  const auto bulk = ReadAll(Queue::kShopBulk, epoch, 1, 500);
  ASSERT_GT(bulk.size(), 1000u);
  EXPECT_EQ(bulk.front().gap, GapReason::kQuota);
  EXPECT_EQ(bulk.front().first, 1u);
  EXPECT_EQ(std::count_if(bulk.begin(), bulk.end(), [](const Item& item) { return item.IsGap(); }), 1);
  EXPECT_EQ(bulk.back().last, 60'000u);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 1, 500)), "1-1000");
  EXPECT_EQ(outbox_->counters()["dropped_bulk"], static_cast<int64_t>(bulk.front().last));
}

// R9: a cloud that was restored must be asked about it.
TEST_F(OutboxTest, AnEpochThatIsAcknowledgedStaysKnown) {
  Open();
  const EpochId first = journal_->epoch().id;
  for (int i = 0; i < 5; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  outbox_->Acknowledge(Queue::kInventory, first, 5);
  Restart();
  const auto held = outbox_->HeldEpochs(Queue::kInventory);
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0].epoch.id, first);
  EXPECT_EQ(held[0].last, 5u);
  EXPECT_EQ(held[0].acked_to, 5u);
}

TEST_F(OutboxTest, CriticalEventsPastTheQuotaArePushedBackNotDropped) {
  options_.quota_bytes = 2 << 20;
  options_.memory_bytes = 256 << 10;
  Open();
  const EpochId epoch = journal_->epoch().id;
  uint64_t taken = 0;
  for (;;) {
    auto number = journal_->Append({Queue::kInventory, IdOf(taken + 1), 0, std::string(200, 'x')}, nullptr);
    if (number.ok()) {
      ++taken;
    } else if (!journal_->WaitForSpace(1500)) {
      break;
    }
    ASSERT_LT(taken, 100'000u);
  }
  EXPECT_GT(outbox_->counters()["critical_waits_for_room"], 0);
  EXPECT_EQ(Shape(ReadAll(Queue::kInventory, epoch, 1, 500)), StrCat("1-", taken));
  outbox_->Acknowledge(Queue::kInventory, epoch, taken);
  EXPECT_TRUE(journal_->WaitForSpace(20'000));
}

TEST_F(OutboxTest, TellsHowFullItIsFromTheStartOn) {
  options_.quota_bytes = 1 << 20;
  options_.replay_window_bytes = 1 << 10;
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 3'000; ++i) Append(Queue::kInventory);
  SpillAll(Queue::kInventory);
  Restart();
  const int64_t used = outbox_->counters()["used_percent"];
  EXPECT_GT(used, 20);
  // Nothing more to store: what makes room tells of it.
  outbox_->Acknowledge(Queue::kInventory, epoch, 3'000);
  outbox_->OnSegmentChange();
  while (outbox_->counters()["used_percent"] >= used / 2) std::this_thread::yield();
}

TEST_F(OutboxTest, PersonalRowsAreSealedOnDisk) {
  const Sealer sealer(std::array<uint8_t, Sealer::kKeyBytes>{9});
  sealer_ = &sealer;
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 10; ++i) Append(Queue::kAttendance);
  Append(Queue::kInventory);
  outbox_->PutRejected("a refused punch of Anna");
  SpillAll(Queue::kAttendance);
  std::string all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
    if (entry.is_regular_file()) all += ReadFile(entry.path(), 64 << 20).value_or("");
  }
  EXPECT_EQ(all.find("attendance event"), std::string::npos);
  EXPECT_NE(all.find("inventory event"), std::string::npos);
  EXPECT_EQ(all.find("Anna"), std::string::npos);
  Restart();
  EXPECT_EQ(outbox_->ListRejected(5).value_or(std::vector<std::string>()), std::vector<std::string>{"a refused punch of Anna"});
  const auto items = ReadAll(Queue::kAttendance, epoch, 1);
  ASSERT_EQ(items.size(), 10u);
  EXPECT_EQ(items[9].bytes, BodyOf(Queue::kAttendance, 10));
}

TEST_F(OutboxTest, TraceTellsWhenAndWhere) {
  Open();
  const EpochId epoch = journal_->epoch().id;
  for (int i = 0; i < 20; ++i) Append(Queue::kInventory);
  outbox_->Sent(Queue::kInventory, epoch, 1, 15);
  outbox_->Acknowledge(Queue::kInventory, epoch, 5);
  SpillAll(Queue::kInventory);
  ASSERT_TRUE(journal_->Sync().ok());
  const auto acknowledged = outbox_->Find(IdOf(3));
  ASSERT_TRUE(acknowledged.ok()) << acknowledged.status();
  EXPECT_TRUE(acknowledged->acknowledged);
  EXPECT_FALSE(acknowledged->stored);
  EXPECT_GT(acknowledged->sent_ms, 0);
  EXPECT_GT(acknowledged->acknowledged_ms, 0);
  const auto stored = outbox_->Find(IdOf(12));
  ASSERT_TRUE(stored.ok());
  EXPECT_TRUE(stored->stored);
  EXPECT_GT(stored->stored_ms, 0);
  EXPECT_GT(stored->synced_ms, 0);
  EXPECT_FALSE(stored->acknowledged);
  EXPECT_EQ(stored->item.bytes, BodyOf(Queue::kInventory, 12));
  EXPECT_TRUE(absl::IsNotFound(outbox_->Find(IdOf(999)).status()));
  EXPECT_EQ(outbox_->IdAt(Queue::kInventory, epoch, 12), IdOf(12));
  EXPECT_EQ(outbox_->IdAt(Queue::kInventory, epoch, 99), std::nullopt);
}

class MapSnapshots final : public Snapshots {
 public:
  std::map<std::string, std::string> TakeChanged() override {
    std::lock_guard lock(mu_);
    return std::exchange(rows_, {});
  }
  void GiveBack(std::map<std::string, std::string> rows) override {
    std::lock_guard lock(mu_);
    rows_.merge(rows);
  }
  void Put(const std::string& key, const std::string& value) {
    std::lock_guard lock(mu_);
    rows_[key] = value;
  }

 private:
  std::mutex mu_;
  std::map<std::string, std::string> rows_;
};

TEST_F(OutboxTest, SnapshotsAndRefusedMessagesSurvive) {
  MapSnapshots snapshots;
  snapshots_ = &snapshots;
  Open();
  snapshots.Put("a", "1");
  snapshots.Put("b", "2");
  for (int i = 0; i < 1500; ++i) outbox_->PutRejected(StrCat("bad message ", i));
  EXPECT_EQ(outbox_->ListRejected(2).value_or(std::vector<std::string>()).size(), 2u);
  Restart();
  snapshots.Put("a", "");
  Restart();
  EXPECT_EQ(outbox_->LoadSnapshots(), (std::map<std::string, std::string>{{"b", "2"}}));
  const auto rejected = outbox_->ListRejected(5000);
  ASSERT_TRUE(rejected.ok());
  ASSERT_EQ(rejected->size(), 1000u);
  EXPECT_EQ(rejected->front(), "bad message 1499");
  Stop();
  snapshots_ = nullptr;
}

}  // namespace
}  // namespace sluice::outbox
