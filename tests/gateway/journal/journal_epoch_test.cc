// Another epoch while the journal runs (delivery rule R9, cases 9 and 25).
#include <thread>

#include "tests/gateway/journal/journal_fixture.h"

namespace sluice::journal {
namespace {

using JournalEpochTest = JournalTest;

TEST_F(JournalEpochTest, AnotherEpochBeginsWithFreshNumbersAndTheOldOneStays) {
  Open();
  const Epoch first = journal_->epoch();
  for (int i = 1; i <= 10; ++i) Append(i);
  ASSERT_TRUE(journal_->BeginEpoch("shop-2").ok());
  const Epoch second = journal_->epoch();
  EXPECT_NE(second.id, first.id);
  EXPECT_EQ(second.ordinal, first.ordinal + 1);
  EXPECT_EQ(second.gateway, "gw");
  EXPECT_EQ(second.shop, "shop-2");
  ASSERT_EQ(tail_holder_->epochs().size(), 1u);
  EXPECT_EQ(tail_holder_->epochs()[0].id, second.id);
  EXPECT_EQ(journal_->LastNumber(kQueue), 0u);
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(Append(i), static_cast<uint64_t>(i));
  ExpectRecords(ReadAll(first.id), 1, 10);
  ExpectRecords(ReadAll(second.id), 1, 5);
  EXPECT_EQ(journal_->Holds(first.id, kQueue).last, 10u);
  Reopen();
  ASSERT_EQ(journal_->found().epochs.size(), 2u);
  EXPECT_EQ(journal_->found().epochs[0].shop, "shop");
  EXPECT_EQ(journal_->found().epochs[1].id, second.id);
  EXPECT_EQ(journal_->found().epochs[1].shop, "shop-2");
  EXPECT_EQ(journal_->epoch().ordinal, second.ordinal + 1);
  ExpectRecords(ReadAll(first.id), 1, 10);
  ExpectRecords(ReadAll(second.id), 1, 5);
}

TEST_F(JournalEpochTest, EverythingOfTheOldEpochIsSafeAndToldSo) {
  Open();
  const EpochId first = journal_->epoch().id;
  journal_->LinkUp(Queue::kShopBulk, true);
  journal_->Acknowledged(first, Queue::kShopBulk, 0, 10'000'000);  // its waiters would wait for 200 ms
  for (int i = 1; i <= 50; ++i) Append(i, safe_.Expect(), i % 2 == 0 ? kQueue : Queue::kShopBulk);
  ASSERT_TRUE(journal_->BeginEpoch("shop").ok());
  ASSERT_TRUE(safe_.WaitFor(50));
  EXPECT_EQ(safe_.ok(), 50u);
  EXPECT_TRUE(safe_.EachOnce());
  journal_->WhenSafe(first, kQueue, 25, safe_.Expect());
  EXPECT_EQ(safe_.ok(), 51u) << "at once";
  // Of the new one it is not; and what was acknowledged of the old one says nothing of the new.
  Append(1, safe_.Expect(), Queue::kShopBulk);
  journal_->Acknowledged(first, Queue::kShopBulk, 25, 0);
  EXPECT_EQ(safe_.ok(), 51u);
  journal_->Acknowledged(journal_->epoch().id, Queue::kShopBulk, 1, 0);
  EXPECT_EQ(safe_.ok(), 52u);
}

TEST_F(JournalEpochTest, AWaiterForANumberThatWasNeverTakenIsNotForgotten) {
  Open();
  journal_->WhenSafe(journal_->epoch().id, kQueue, 7, safe_.Expect());
  ASSERT_TRUE(journal_->BeginEpoch("shop").ok());
  ASSERT_TRUE(safe_.WaitFor(1));
  EXPECT_EQ(safe_.failed(), 1u);
}

TEST_F(JournalEpochTest, AppendsOfOtherThreadsGoOnInOrder) {
  options_.max_segments = 200;
  Open();
  std::vector<Epoch> epochs = {journal_->epoch()};
  constexpr uint64_t kEach = 3000;
  constexpr uint64_t kThreads = 3;
  std::vector<std::thread> threads;
  std::atomic<uint64_t> written = 0;
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = 1; i <= kEach; ++i) {
        EXPECT_TRUE(TryAppend(thread * kEach + i, safe_.Expect()).ok());
        ++written;
      }
    });
  }
  while (written < kThreads * kEach * 9 / 10) {
    ASSERT_TRUE(journal_->BeginEpoch("shop").ok());
    epochs.push_back(journal_->epoch());
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(safe_.WaitFor(kThreads * kEach));
  EXPECT_EQ(safe_.ok(), kThreads * kEach);
  EXPECT_TRUE(safe_.EachOnce());
  EXPECT_GT(epochs.size(), 3u);
  std::array<uint64_t, kThreads> last{};
  for (const Epoch& epoch : epochs) {
    uint64_t next = 1;
    for (const Item& item : ReadAll(epoch.id)) {
      EXPECT_EQ(item.first, next++);
      const auto n = static_cast<uint64_t>(item.accepted_ms) - 1;
      EXPECT_EQ(n % kEach, last[n / kEach]++) << "each thread's own come in its order";
    }
  }
  for (const uint64_t count : last) EXPECT_EQ(count, kEach);
}

TEST_F(JournalEpochTest, WithoutAFreeSegmentTheOldEpochGoesOn) {
  Open();
  const Epoch first = journal_->epoch();
  uint64_t n = 0;
  while (journal_->figures().segment_changes < 4) Append(++n);
  EXPECT_TRUE(absl::IsResourceExhausted(journal_->BeginEpoch("shop-2")));
  EXPECT_EQ(journal_->epoch().id, first.id);
  tail_holder_->WaitForSpaceNeeded();
  EXPECT_EQ(Append(n + 1), n + 1) << "the segment has room left";
  EXPECT_TRUE(tail_holder_->epochs().empty());
  journal_->Release(first.id, kQueue, n / 2);
  ASSERT_TRUE(journal_->BeginEpoch("shop-2").ok());
  EXPECT_EQ(journal_->epoch().ordinal, first.ordinal + 1);
  EXPECT_EQ(Append(1), 1u);
  ExpectRecords(ReadAll(first.id, n / 2 + 1), n / 2 + 1, n + 1);
}

TEST_F(JournalEpochTest, ASyncThatFailsOnTheWayLosesNothing) {
  Open();
  const EpochId first = journal_->epoch().id;
  for (int i = 1; i <= 20; ++i) Append(i, safe_.Expect(), Queue::kShopBulk);
  faults_ = 1;
  files_.SetOnSync([&](const std::string&) {
    return faults_-- > 0 ? absl::InternalError("injected") : absl::OkStatus();
  });
  ASSERT_TRUE(journal_->BeginEpoch("shop").ok());
  files_.SetOnSync(nullptr);
  ASSERT_TRUE(safe_.WaitFor(20));
  EXPECT_EQ(safe_.ok(), 20u);
  Append(1, nullptr, Queue::kShopBulk);
  const EpochId second = journal_->epoch().id;
  Reopen();
  ExpectRecords(ReadAll(first, 1, Queue::kShopBulk), 1, 20);
  ExpectRecords(ReadAll(second, 1, Queue::kShopBulk), 1, 1);
}

TEST_F(JournalEpochTest, EachEpochSealsUnderItsOwnKey) {
  sealer_ = std::make_unique<Sealer>(std::array<uint8_t, Sealer::kKeyBytes>{5});
  Open();
  const EpochId first = journal_->epoch().id;
  Append(1, nullptr, Queue::kAttendance);
  ASSERT_TRUE(journal_->BeginEpoch("shop").ok());
  const EpochId second = journal_->epoch().id;
  Append(1, nullptr, Queue::kAttendance);
  Reopen();
  ExpectRecords(ReadAll(first, 1, Queue::kAttendance), 1, 1);
  ExpectRecords(ReadAll(second, 1, Queue::kAttendance), 1, 1);
}

// Lives that begin epochs at random moments and end in a power cut: what was called safe is there under its key.
TEST_F(JournalEpochTest, APowerCutAtAnyMomentKeepsWhatWasSafe) {
  SeededRandom dice(99);
  uint64_t begun = 0;
  for (int round = 0; round < 100; ++round) {
    fakes::TempFolder other;
    options_.folder = other / "journal";
    options_.max_segments = 60;
    fakes::FaultyFiles files;
    std::map<EpochId, std::map<uint64_t, uint64_t>> safe;
    std::mutex mu;
    for (int life = 0; life < 3; ++life) {
      auto opened = Journal::Open(options_, "gw", "shop", 1, files, clock_, random_, nullptr);
      ASSERT_TRUE(opened.ok()) << opened.status();
      auto journal = *std::move(opened);
      uint64_t ordinal = 0;
      for (const Epoch& epoch : journal->found().epochs) {
        EXPECT_GT(epoch.ordinal, ordinal);
        ordinal = epoch.ordinal;
      }
      EXPECT_GT(journal->epoch().ordinal, ordinal);
      for (const auto& [epoch, numbers] : safe) {
        std::map<uint64_t, uint64_t> have;
        ASSERT_TRUE(journal
                        ->Read(epoch, kQueue, 1, UINT64_MAX,
                               [&](Item item) {
                                 have[item.first] = static_cast<uint64_t>(item.accepted_ms);
                                 EXPECT_EQ(item.bytes, BodyOf(static_cast<uint64_t>(item.accepted_ms)));
                                 return true;
                               })
                        .ok());
        for (const auto& [number, n] : numbers) ASSERT_EQ(have[number], n) << "round " << round << " life " << life;
      }
      for (uint64_t i = dice.Below(200); i > 0; --i) {
        const uint64_t n = dice.Below(1'000'000);
        const EpochId epoch = journal->epoch().id;
        const uint64_t number = journal->LastNumber(kQueue) + 1;
        ASSERT_TRUE(journal->Append({kQueue, IdOf(n), static_cast<int64_t>(n), BodyOf(n)},
                                    [&, epoch, number, n](absl::Status status) {
                                      std::lock_guard lock(mu);
                                      if (status.ok()) safe[epoch][number] = n;
                                    }).ok());
        if (dice.Below(30) == 0) {
          ASSERT_TRUE(journal->BeginEpoch(StrCat("shop-", n)).ok());
          ++begun;
        }
      }
      files.SetOnSync([](const std::string&) { return absl::InternalError("power is gone"); });
      journal.reset();
      files.SetOnSync(nullptr);
      files.PowerCut(dice);
    }
  }
  EXPECT_GT(begun, 500u);
}

}  // namespace
}  // namespace sluice::journal
