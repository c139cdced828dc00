// TryAppend and WhenSpace: for a thread that must not wait for the disk.
#include <future>

#include "tests/gateway/journal/journal_fixture.h"

namespace sluice::journal {
namespace {

constexpr auto kLimit = std::chrono::seconds(20);

class JournalSpaceTest : public JournalTest {
 protected:
  absl::StatusOr<uint64_t> TryOnce(uint64_t n, Completion done = nullptr) {
    return journal_->TryAppend({kQueue, IdOf(n), static_cast<int64_t>(n), BodyOf(n)}, std::move(done));
  }
  std::future<void> Space() {
    auto told = std::make_shared<std::promise<void>>();
    std::future<void> future = told->get_future();
    journal_->WhenSpace([told] { told->set_value(); });   // a second call would throw
    return future;
  }
  static bool Ready(const std::future<void>& future) {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
};

TEST_F(JournalSpaceTest, TryAppendIsAnAppend) {
  Open();
  ASSERT_TRUE(TryOnce(1, safe_.Expect()).ok());
  ASSERT_TRUE(TryOnce(2, safe_.Expect()).ok());
  ASSERT_TRUE(safe_.WaitFor(2));
  EXPECT_EQ(safe_.ok(), 2u);
  EXPECT_TRUE(absl::IsInvalidArgument(
      journal_->TryAppend({kQueue, IdOf(3), 3, std::string(options_.max_record_bytes + 1, 'x')}, nullptr).status()));
  ExpectRecords(ReadAll(journal_->epoch().id), 1, 2);
}

TEST_F(JournalSpaceTest, DoesNotWaitWhileASlowCardChangesSegments) {
  Open();
  std::promise<void> card;
  std::shared_future<void> answers = card.get_future().share();
  files_.SetOnSync([answers](const std::string&) {
    answers.wait();
    return absl::OkStatus();
  });
  uint64_t n = 0;
  absl::Status status;
  while (status.ok()) status = TryOnce(++n, safe_.Expect()).status();   // the card answers nothing meanwhile
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_GT(n, 100u);
  EXPECT_EQ(safe_.ok(), 0u);
  const auto space = Space();
  EXPECT_TRUE(absl::IsResourceExhausted(TryOnce(n).status()));
  EXPECT_FALSE(Ready(space));
  card.set_value();
  ASSERT_EQ(space.wait_for(kLimit), std::future_status::ready);
  EXPECT_EQ(TryOnce(n).value_or(0), n) << "the refused ones took no number";
  ASSERT_TRUE(safe_.WaitFor(n - 1));
}

TEST_F(JournalSpaceTest, TellsWhenAFullJournalHasRoomAgain) {
  Open();
  uint64_t n = 0;
  for (absl::Status status; status.ok();) {
    status = TryAppend(++n, safe_.Expect()).status();
  }
  const auto space = Space();
  ASSERT_TRUE(safe_.WaitFor(n - 1));   // synced, and still nowhere to go
  EXPECT_FALSE(Ready(space));
  journal_->Release(journal_->epoch().id, kQueue, n - 1);
  ASSERT_EQ(space.wait_for(kLimit), std::future_status::ready);
  EXPECT_TRUE(TryOnce(n).ok());
}

TEST_F(JournalSpaceTest, TellsSoonWhereThereIsRoom) {
  Open();
  const auto space = Space();
  EXPECT_EQ(space.wait_for(kLimit), std::future_status::ready);
}

TEST_F(JournalSpaceTest, LeavesWhoWaitsAloneForAWhileAfterARefusedWrite) {
  Open();
  files_.SetOnWrite([](const std::string&, uint64_t, size_t) -> int64_t { return -1; });
  const int64_t began = clock_.MonotonicUs();
  EXPECT_FALSE(TryOnce(1).ok());
  const auto space = Space();
  files_.SetOnWrite(nullptr);
  ASSERT_EQ(space.wait_for(kLimit), std::future_status::ready);
  EXPECT_GE(clock_.MonotonicUs() - began, 200'000);
  EXPECT_EQ(TryOnce(1).value_or(0), 1u);
}

TEST_F(JournalSpaceTest, TellsWhenItCloses) {
  options_.max_segments = 2;
  Open();
  for (uint64_t n = 1; TryAppend(n).ok(); ++n) {
  }
  const auto space = Space();
  EXPECT_FALSE(Ready(space));
  journal_.reset();
  EXPECT_TRUE(Ready(space));
}

}  // namespace
}  // namespace sluice::journal
