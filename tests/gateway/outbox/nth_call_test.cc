// The n-th write or sync of journal and outbox fails, for every n there is, once or for good (delivery rules R3, R5, R6): they
// never crash and never lie. What was called safe is there for the next process, and after a power cut in its life.
//
// SLUICE_ROUNDS: how many workloads each n is tried with. SLUICE_SEED: the seed of the first.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <thread>

#include "base/strings.h"
#include "tests/fakes/temp_folder.h"
#include "tests/gateway/outbox/power_cut_fixture.h"

namespace sluice::outbox::power_cut {
namespace {

// What is promised at the end of the log, or at some moment of it.
Promise PromiseAt(const Session& session, size_t moment, fakes::PowerCuts& cuts) {
  Promise promise = session.promise_at_start();
  while (cuts.at() < moment) {
    const fakes::DiskOp& op = session.disk().log()[cuts.at()];
    if (op.kind == fakes::DiskOp::Kind::kMark) Keep(session.marks()[op.mark], promise);
    cuts.Step();
  }
  return promise;
}

// False: there was no n-th call.
bool Run(const Fault& fault, uint64_t seed, Counts& counts) {
  SCOPED_TRACE(StrCat("call ", fault.n, fault.for_good ? " and all that follow fail" : " fails"));
  SeededRandom dice(seed);
  Shape shape;
  shape.journal.segment_bytes = 20 << 10;
  shape.journal.max_record_bytes = 8 << 10;
  shape.journal.min_segments = 2;
  shape.journal.max_segments = 4;
  shape.options.memory_bytes = 16 << 10;
  shape.options.replay_window_bytes = 4 << 10;
  shape.checkpoint_pages = 10;
  shape.steps = fault.kind == Fault::Kind::kSync ? 30 : 15;   // there are many more writes
  Truth truth;
  Session session(shape, truth, {}, {}, seed, counts);
  const bool happened = session.LiveWithFault(fault, dice.Below(2) == 0);
  if (!testing::Test::HasFailure()) session.Live(dice.Below(2) == 0);
  session.PowerOff();
  if (testing::Test::HasFailure()) return false;
  const size_t size = session.disk().log().size();
  for (const size_t moment : {dice.Below(size), size}) {
    SCOPED_TRACE(StrCat("power cut at operation ", moment, " of ", size));
    fakes::PowerCuts cuts(session.disk().base(), session.disk().log());
    const Promise promise = PromiseAt(session, moment, cuts);
    Truth branch = truth;
    Shape next = shape;
    next.steps = 5;
    Session recovery(next, branch, promise, cuts.Image(dice), dice.Below(UINT64_MAX), counts);
    recovery.Live(true);
    if (testing::Test::HasFailure()) return false;
  }
  return happened;
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

void FailEveryCall(Fault::Kind kind, uint64_t rounds) {
  Counts counts;
  uint64_t runs = 0;
  uint64_t seed = FromEnvironment("SLUICE_SEED", 1);
  for (rounds = FromEnvironment("SLUICE_ROUNDS", rounds); rounds > 0; --rounds, ++seed) {
    SCOPED_TRACE(StrCat("SLUICE_SEED=", seed));
    for (const bool for_good : {false, true}) {
      for (uint64_t n = 1; Run({kind, n, for_good}, seed, counts); ++n) ++runs;
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(runs, 40u);
  std::cout << runs << " calls failed: " << counts.starts << " starts, " << counts.records << " records and "
            << counts.gaps << " gaps judged" << std::endl;
}

TEST(NthCallTest, AWriteFailsWithAnIoError) { FailEveryCall(Fault::Kind::kIoError, 1); }
TEST(NthCallTest, AWriteFindsNoSpace) { FailEveryCall(Fault::Kind::kNoSpace, 1); }
TEST(NthCallTest, AWriteIsShort) { FailEveryCall(Fault::Kind::kShortWrite, 1); }
TEST(NthCallTest, ASyncFails) { FailEveryCall(Fault::Kind::kSync, 6); }

// The frames of the commit lie in the page cache, read well, and no sync will ever write them: the next start must not take them
// for stored, or the journal lets go of what is nowhere.
TEST(NthCallTest, ACommitWhoseSyncFailedIsNotTakenForStoredByTheNextStart) {
  const fakes::TempFolder folder;
  std::filesystem::create_directories(folder / "journal");
  fakes::RecordedDisk disk;
  const fakes::RecordedVfs vfs(folder.path(), disk);
  ManualClock clock;
  SeededRandom random(1);
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<Outbox> outbox;
  const auto start = [&](uint64_t ordinal) {
    auto opened = journal::Journal::Open({.folder = folder / "journal", .segment_bytes = 64 << 10, .max_record_bytes = 4 << 10},
                                         "gw", "shop", ordinal, disk, clock, random, nullptr);
    ASSERT_TRUE(opened.ok()) << opened.status();
    journal = *std::move(opened);
    auto over = Outbox::Open({.folder = folder.path(), .spill_after_ms = 3'600'000, .files = &disk}, *journal, clock, nullptr,
                             nullptr);
    ASSERT_TRUE(over.ok()) << over.status();
    outbox = *std::move(over);
  };
  start(1);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(journal->Append({Queue::kInventory, {}, 0, std::string(200, 'x')}, nullptr).ok());
  ASSERT_TRUE(journal->Sync().ok());
  disk.SetOnSync([](const std::string& path) {
    return path.ends_with("-wal") ? absl::InternalError("injected: EIO") : absl::OkStatus();
  });
  outbox->OnSpaceNeeded(0);
  while (outbox->counters()["writes_failing"] == 0) std::this_thread::yield();
  disk.SetDead(true);
  outbox.reset();
  journal.reset();
  disk.SetDead(false);
  disk.SetOnSync(nullptr);
  start(2);
  const uint64_t stored = outbox->figures(Queue::kInventory).stored;
  EXPECT_LE(stored, static_cast<uint64_t>(outbox->counters()["spilled_rows"])) << "by whom?";
  EXPECT_EQ(outbox->figures(Queue::kInventory).pending, 50u);
  outbox.reset();
  journal.reset();
}

}  // namespace
}  // namespace sluice::outbox::power_cut
