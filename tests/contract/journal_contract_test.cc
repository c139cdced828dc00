// What journal.h promises, held against the journal on disk and against the fake that intake is tested with: one suite, so that
// the fake cannot promise what the real one does not keep.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/fakes/fake_journal.h"
#include "tests/gateway/journal/journal_fixture.h"

namespace sluice::journal {
namespace {

// One of the journals, and what is only the test's to do with it.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Journal& journal() = 0;
  // For a journal whose waiters for space are told by hand.
  virtual void TellOfSpace() {}
  virtual void Close() = 0;
};

class Real final : public Subject {
 public:
  Real() {
    Options options;
    options.folder = folder_ / "journal";
    options.segment_bytes = 32 << 10;
    options.max_record_bytes = 4 << 10;
    options.min_segments = 3;
    // Nothing becomes safe unless it is asked for.
    options.sync_at_least_every_ms = 3'600'000;
    auto journal = Journal::Open(options, "gw", "shop", 1, files_, clock_, random_, nullptr);
    EXPECT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
  }
  Journal& journal() override { return *journal_; }
  void Close() override { journal_.reset(); }

 private:
  fakes::TempFolder folder_;
  fakes::FaultyFiles files_;
  SystemClock clock_;
  SeededRandom random_{11};
  std::unique_ptr<Journal> journal_;
};

class Fake final : public Subject {
 public:
  Journal& journal() override { return *journal_; }
  void TellOfSpace() override { journal_->TellOfSpace(); }
  void Close() override { journal_.reset(); }

 private:
  std::unique_ptr<FakeJournal> journal_ = std::make_unique<FakeJournal>();
};

struct Maker {
  const char* name;
  std::unique_ptr<Subject> (*make)();
};

class JournalContractTest : public ::testing::TestWithParam<Maker> {
 protected:
  void SetUp() override {
    subject_ = GetParam().make();
    journal().Start(&tail_);
  }
  void TearDown() override { subject_.reset(); }

  Journal& journal() { return subject_->journal(); }
  uint64_t Append(uint64_t n, Queue queue = kQueue, Completion done = nullptr) {
    const auto number = journal().Append({queue, IdOf(n), static_cast<int64_t>(n), BodyOf(n)}, std::move(done));
    EXPECT_TRUE(number.ok()) << number.status();
    return number.value_or(0);
  }
  // The numbers of (epoch, queue) in [from, last]; what they hold is checked.
  std::vector<uint64_t> Read(const EpochId& epoch, uint64_t from = 1, uint64_t last = UINT64_MAX, size_t most = SIZE_MAX) {
    std::vector<uint64_t> numbers;
    const absl::Status status = journal().Read(epoch, kQueue, from, last, [&](Item item) {
      EXPECT_EQ(item.epoch, epoch);
      EXPECT_EQ(item.first, item.last);
      numbers.push_back(item.first);
      return numbers.size() < most;
    });
    EXPECT_TRUE(status.ok()) << status;
    return numbers;
  }
  void ExpectHolds(const EpochId& epoch, uint64_t first, uint64_t last) {
    const Journal::Span span = journal().Holds(epoch, kQueue);
    EXPECT_EQ(span.first, first);
    EXPECT_EQ(span.last, last);
  }

  RecordingTail tail_;   // checks that it learns of every number in order
  Safe safe_;
  std::unique_ptr<Subject> subject_;
};

using Numbers = std::vector<uint64_t>;

TEST_P(JournalContractTest, NumbersEachQueueFromOne) {
  EXPECT_EQ(journal().LastNumber(kQueue), 0u);
  EXPECT_EQ(Append(1), 1u);
  EXPECT_EQ(Append(2), 2u);
  EXPECT_EQ(Append(3, Queue::kShopBulk), 1u);
  const auto third = journal().TryAppend({kQueue, IdOf(4), 4, BodyOf(4)}, nullptr);
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(*third, 3u);
  EXPECT_EQ(journal().LastNumber(kQueue), 3u);
  EXPECT_EQ(journal().LastNumber(Queue::kShopBulk), 1u);
  EXPECT_EQ(journal().LastNumber(Queue::kAttendance), 0u);
}

TEST_P(JournalContractTest, TheTailLearnsOfARecordBeforeAppendReturns) {
  struct Noting final : Tail {
    void OnAppended(Item item) override { items.push_back(std::move(item)); }
    void OnSpaceNeeded(uint64_t) override {}
    void OnSegmentChange() override {}
    void OnEpochBegun(const Epoch&) override {}
    std::vector<Item> items;
  } noting;
  journal().Start(nullptr);
  journal().Start(&noting);
  Append(7);
  ASSERT_EQ(noting.items.size(), 1u);
  EXPECT_EQ(noting.items[0].epoch, journal().epoch().id);
  EXPECT_EQ(noting.items[0].queue, kQueue);
  EXPECT_EQ(noting.items[0].first, 1u);
  EXPECT_EQ(noting.items[0].id, IdOf(7));
  EXPECT_EQ(noting.items[0].accepted_ms, 7);
  EXPECT_EQ(noting.items[0].bytes, BodyOf(7));
  journal().Start(nullptr);
  Append(8);
  EXPECT_EQ(noting.items.size(), 1u);
}

TEST_P(JournalContractTest, EachCompletionIsCalledOnceWhenAllIsSynced) {
  Append(1, kQueue, safe_.Expect());
  Append(2, kQueue, safe_.Expect());
  Append(3, Queue::kShopBulk, safe_.Expect());
  ASSERT_TRUE(journal().Sync().ok());
  ASSERT_TRUE(safe_.WaitFor(3));
  subject_->Close();
  EXPECT_EQ(safe_.ok(), 3u);
  EXPECT_TRUE(safe_.EachOnce());
}

TEST_P(JournalContractTest, WhatTheCloudHasIsSafe) {
  journal().LinkUp(kQueue, true);
  Append(1, kQueue, safe_.Expect());
  Append(2, kQueue, safe_.Expect());
  journal().Acknowledged(journal().epoch().id, kQueue, 2, 1000);
  EXPECT_TRUE(safe_.WaitFor(2));
  EXPECT_EQ(safe_.ok(), 2u);
  EXPECT_TRUE(safe_.EachOnce());
}

TEST_P(JournalContractTest, WhoAsksWhenIsToldAtOnceOfWhatIsSafe) {
  const EpochId epoch = journal().epoch().id;
  Append(1);
  ASSERT_TRUE(journal().Sync().ok());
  journal().WhenSafe(epoch, kQueue, 1, safe_.Expect());
  EXPECT_EQ(safe_.ok(), 1u) << "before the call returned";
  Append(2);
  journal().WhenSafe(epoch, kQueue, 1, safe_.Expect());
  EXPECT_EQ(safe_.ok(), 2u) << "a later number is not waited for";
  journal().WhenSafe(epoch, kQueue, 2, safe_.Expect());
  ASSERT_TRUE(journal().Sync().ok());
  EXPECT_TRUE(safe_.WaitFor(3));
  EXPECT_EQ(safe_.ok(), 3u);
  EXPECT_TRUE(safe_.EachOnce());
}

TEST_P(JournalContractTest, AnotherEpochNumbersFromOneAndAllOfTheEarlierOneIsSafe) {
  const Epoch before = journal().epoch();
  Append(1, kQueue, safe_.Expect());
  Append(2, kQueue, safe_.Expect());
  ASSERT_TRUE(journal().BeginEpoch("other").ok());
  EXPECT_EQ(safe_.ok(), 2u) << "its waiters are complete";
  const Epoch now = journal().epoch();
  EXPECT_NE(now.id, before.id);
  EXPECT_GT(now.ordinal, before.ordinal);
  EXPECT_EQ(now.shop, "other");
  ASSERT_EQ(tail_.epochs().size(), 1u);
  EXPECT_EQ(tail_.epochs()[0].id, now.id);
  EXPECT_EQ(journal().LastNumber(kQueue), 0u);
  ExpectHolds(now.id, 0, 0);
  EXPECT_EQ(Append(3), 1u);
  journal().WhenSafe(before.id, kQueue, 2, safe_.Expect());
  EXPECT_EQ(safe_.ok(), 3u) << "what waits in the new one is none of its business";
  ExpectHolds(before.id, 1, 2);
  ExpectHolds(now.id, 1, 1);
  EXPECT_EQ(Read(before.id), (Numbers{1, 2}));
  EXPECT_EQ(Read(now.id), (Numbers{1}));
}

TEST_P(JournalContractTest, ReadsARangeInOrderUntilTheVisitorHasEnough) {
  const EpochId epoch = journal().epoch().id;
  for (uint64_t n = 1; n <= 5; ++n) {
    Append(n);
    Append(n + 100, Queue::kShopBulk);
  }
  EXPECT_EQ(Read(epoch), (Numbers{1, 2, 3, 4, 5}));
  EXPECT_EQ(Read(epoch, 2, 4), (Numbers{2, 3, 4}));
  EXPECT_EQ(Read(epoch, 1, UINT64_MAX, 2), (Numbers{1, 2}));
  EXPECT_EQ(Read(epoch, 6), Numbers{});
  EXPECT_EQ(Read(IdOf(99)), Numbers{});
  ExpectHolds(epoch, 1, 5);
  ExpectHolds(IdOf(99), 0, 0);
  std::vector<EventId> ids;
  ASSERT_TRUE(journal().ReadAll([&](Item item) {
    ids.push_back(item.id);
    return ids.size() < 3;
  }).ok());
  EXPECT_EQ(ids, (std::vector<EventId>{IdOf(1), IdOf(101), IdOf(2)}));
}

TEST_P(JournalContractTest, WhoWaitsForSpaceIsToldWhereThereIsSome) {
  EXPECT_TRUE(journal().WaitForSpace(0));
  journal().WhenSpace([done = safe_.Expect()]() mutable { done(absl::OkStatus()); });
  subject_->TellOfSpace();
  EXPECT_TRUE(safe_.WaitFor(1));
  subject_->Close();
  EXPECT_TRUE(safe_.EachOnce());
}

TEST_P(JournalContractTest, ClosingCompletesOrFailsEveryWaiter) {
  journal().Start(nullptr);
  Append(1, kQueue, safe_.Expect());
  journal().WhenSafe(journal().epoch().id, kQueue, 1, safe_.Expect());
  subject_->Close();
  EXPECT_EQ(safe_.ok() + safe_.failed(), 2u);
  EXPECT_TRUE(safe_.EachOnce());
}

TEST_P(JournalContractTest, ClosingTellsWhoWaitsForSpace) {
  journal().WhenSpace([done = safe_.Expect()]() mutable { done(absl::OkStatus()); });
  subject_->Close();
  EXPECT_EQ(safe_.ok(), 1u);
  EXPECT_TRUE(safe_.EachOnce());
}

INSTANTIATE_TEST_SUITE_P(
    Journals, JournalContractTest,
    ::testing::Values(Maker{"Real", [] () -> std::unique_ptr<Subject> { return std::make_unique<Real>(); }},
                      Maker{"Fake", [] () -> std::unique_ptr<Subject> { return std::make_unique<Fake>(); }}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace sluice::journal
