// The process dies at each named step; what had been called safe, and whatever else was numbered below it, is delivered
// by the next start under its key.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <string>

#include "tests/gateway/outbox/outbox_fixture.h"

namespace sluice::outbox {
namespace {

constexpr Queue kQueue = Queue::kInventory;
// Marks a report of how many events were acknowledged; the others are events that are safe.
constexpr uint64_t kAcknowledged = uint64_t{1} << 63;

void Report(int out, uint64_t word) {
  if (write(out, &word, sizeof word) != sizeof word) _exit(5);
}

// A life that ends by itself only after 100,000 events. Reports each number that is safe through `out`.
[[noreturn]] void Live(const Options& options, const journal::Options& journal_options, int out) {
  PosixFileSystem files;
  SystemClock clock;
  SystemRandom random;
  const auto ordinal = NextOrdinal(options.folder);
  auto journal = journal::Journal::Open(journal_options, "gw", "shop", *ordinal, files, clock, random, nullptr);
  if (!journal.ok()) _exit(3);
  auto outbox = Outbox::Open(options, **journal, clock, nullptr, nullptr);
  if (!outbox.ok()) _exit(4);
  for (uint64_t n = 1; n <= 100'000;) {
    auto number = (*journal)->Append({kQueue, IdOf(n), 0, BodyOf(kQueue, n)}, [out, n](absl::Status status) {
      if (status.ok()) Report(out, n);
    });
    if (number.ok()) {
      ++n;
    } else if (!(*journal)->WaitForSpace(20'000)) {
      _exit(6);
    }
    if (n % 50 == 0) (*outbox)->OnSpaceNeeded(0);
    if (n % 100 == 0 && !(*journal)->Sync().ok()) _exit(7);
  }
  _exit(0);
}

// Acknowledges some, finds another box at work under its keys, keys anew what is pending and goes on; again and again.
[[noreturn]] void LiveBesideAClone(const Options& options, const journal::Options& journal_options, int out) {
  PosixFileSystem files;
  SystemClock clock;
  SystemRandom random;
  auto journal = journal::Journal::Open(journal_options, "gw", "shop", *NextOrdinal(options.folder), files, clock, random, nullptr);
  if (!journal.ok()) _exit(3);
  auto outbox = Outbox::Open(options, **journal, clock, nullptr, nullptr);
  if (!outbox.ok()) _exit(4);
  uint64_t n = 0, acknowledged = 0;
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < 40; ++i) {
      ++n;
      auto number = (*journal)->Append({kQueue, IdOf(n), 0, BodyOf(kQueue, n)}, [out, n](absl::Status status) {
        if (status.ok()) Report(out, n);
      });
      if (!number.ok()) _exit(6);
      if (i == 20 && round % 2 == 0) (*outbox)->OnSpaceNeeded(0);
    }
    // What is oldest, as the cloud would; never the newest, so that something is pending.
    const auto held = (*outbox)->HeldEpochs(kQueue);
    for (const auto& one : held) {
      if (one.acked_to == one.last) continue;
      const uint64_t count = std::min<uint64_t>(one.last - one.acked_to, 25);
      acknowledged += count;
      Report(out, kAcknowledged | acknowledged);
      (*outbox)->Acknowledge(kQueue, one.epoch.id, one.acked_to + count);
      break;
    }
    const auto running = (*outbox)->HeldEpochs(kQueue).back();
    if (!(*outbox)->KeyAnew(kQueue, running.epoch.id, running.acked_to).ok()) _exit(7);
  }
  _exit(0);
}

class KillTest : public OutboxTest {
 protected:
  void SetFolder(const std::string& folder) {
    options_.folder = folder;
    options_.spill_after_ms = 1;
    journal_options_.folder = folder + "/journal";
  }

  // A process lives in the folder until it is killed at the point. Returns up to which event all were safe.
  uint64_t LiveAndDie(const std::string& folder, const std::string& point, bool beside_a_clone) {
    int ends[2];
    if (pipe(ends) != 0) return 0;
    const pid_t child = fork();
    if (child == 0) {
      // A fresh program: fail points are read from the environment once.
      setenv("SLUICE_FAIL_POINT", point.c_str(), 1);
      setenv("SLUICE_KILL_FOLDER", folder.c_str(), 1);
      setenv("SLUICE_KILL_FD", std::to_string(ends[1]).c_str(), 1);
      if (beside_a_clone) setenv("SLUICE_KILL_CLONE", "1", 1);
      execl("/proc/self/exe", "outbox_kill_test", "--gtest_filter=KillTest.LivesUntilKilled", nullptr);
      _exit(9);
    }
    close(ends[1]);
    uint64_t safe = 0, word = 0;
    std::set<uint64_t> reported;
    acknowledged_ = 0;
    while (read(ends[0], &word, sizeof word) == sizeof word) {
      if ((word & kAcknowledged) != 0) {
        acknowledged_ = word & ~kAcknowledged;
        continue;
      }
      // Once each. In order from one thread; but the syncer's and the acknowledgement's may overtake each other.
      EXPECT_TRUE(reported.insert(word).second) << word << " twice";
      while (reported.contains(safe + 1)) ++safe;
    }
    close(ends[0]);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    return safe;
  }

  uint64_t acknowledged_ = 0;
};

// Not a test of its own: the process that is killed.
TEST_F(KillTest, LivesUntilKilled) {
  const char* folder = std::getenv("SLUICE_KILL_FOLDER");
  if (folder == nullptr) GTEST_SKIP() << "run by the other test";
  SetFolder(folder);
  const int out = std::atoi(std::getenv("SLUICE_KILL_FD"));
  if (std::getenv("SLUICE_KILL_CLONE") != nullptr) LiveBesideAClone(options_, journal_options_, out);
  Live(options_, journal_options_, out);
}

TEST_F(KillTest, AtEveryNamedStepNothingSafeIsLost) {
#if !defined(SLUICE_FAIL_POINTS)
  GTEST_SKIP() << "built without fail points";
#endif
  for (const char* point : {"journal.written:700", "journal.before_sync:9", "journal.synced:9",
                            "journal.segment_begun:3", "outbox.before_commit:7", "outbox.committed:7"}) {
    SCOPED_TRACE(point);
    fakes::TempFolder folder;
    SetFolder(folder.path());
    const uint64_t safe = LiveAndDie(folder.path(), point, false);
    Open();
    const auto held = outbox_->HeldEpochs(kQueue);
    ASSERT_EQ(held.size(), 2u);
    EXPECT_GE(held[0].last, safe);
    const auto items = ReadAll(kQueue, held[0].epoch.id, 1, 100);
    ASSERT_EQ(items.size(), held[0].last);
    for (const Item& item : items) {
      EXPECT_FALSE(item.IsGap());
      EXPECT_EQ(item.id, IdOf(item.first));
    }
    Stop();
  }
}

TEST_F(KillTest, AtEveryNamedStepOfKeyingAnewNothingIsLostOrPendingTwice) {
#if !defined(SLUICE_FAIL_POINTS)
  GTEST_SKIP() << "built without fail points";
#endif
  std::vector<std::string> points;
  for (int count : {1, 2, 5, 12}) {
    for (const char* name : {"outbox.keyed_anew", "journal.epoch_begun", "journal.segment_begun", "outbox.before_commit",
                             "outbox.committed", "journal.before_sync", "journal.synced"}) {
      points.push_back(StrCat(name, ":", count + (std::string_view(name) == "journal.segment_begun" ? 1 : 0)));
    }
  }
  for (const std::string& point : points) {
    SCOPED_TRACE(point);
    fakes::TempFolder folder;
    SetFolder(folder.path());
    const uint64_t safe = LiveAndDie(folder.path(), point, true);
    Open();
    // What was acknowledged may be pending again, and its segments recycled: the cloud has it. Then everything follows, each
    // once and in order.
    uint64_t next = 0;
    for (const auto& held : outbox_->HeldEpochs(kQueue)) {
      for (const Item& item : ReadAll(kQueue, held.epoch.id, held.acked_to + 1, 100)) {
        if (item.IsGap()) {
          if (next != 0) next += item.last - item.first + 1;
          EXPECT_LE(next, acknowledged_ + 1) << "a gap for what nobody has";
          continue;
        }
        uint64_t n = 0;
        for (int i = 0; i < 8; ++i) n |= static_cast<uint64_t>(item.id.bytes[i]) << (8 * i);
        // At the beginning, and where the whole of an epoch was known to be acknowledged and is gone.
        if (next == 0 || n > next) {
          EXPECT_LE(n, acknowledged_ + 1);
          next = n;
        }
        ASSERT_EQ(n, next++);
      }
    }
    if (safe > acknowledged_) {
      EXPECT_GT(next, safe);
    }
    Stop();
  }
}

}  // namespace
}  // namespace sluice::outbox
