// The process dies at each named step; what had been called safe, and whatever else was numbered below it, is delivered
// by the next start under its key.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "tests/gateway/outbox/outbox_fixture.h"

namespace sluice::outbox {
namespace {

constexpr Queue kQueue = Queue::kInventory;

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
      if (status.ok() && write(out, &n, sizeof n) != sizeof n) _exit(5);
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

class KillTest : public OutboxTest {
 protected:
  void SetFolder(const std::string& folder) {
    options_.folder = folder;
    options_.spill_after_ms = 1;
    journal_options_.folder = folder + "/journal";
  }
};

// Not a test of its own: the process that is killed.
TEST_F(KillTest, LivesUntilKilled) {
  const char* folder = std::getenv("SLUICE_KILL_FOLDER");
  if (folder == nullptr) GTEST_SKIP() << "run by the other test";
  SetFolder(folder);
  Live(options_, journal_options_, std::atoi(std::getenv("SLUICE_KILL_FD")));
}

TEST_F(KillTest, AtEveryNamedStepNothingSafeIsLost) {
#if !defined(SLUICE_FAIL_POINTS)
  GTEST_SKIP() << "built without fail points";
#endif
  int killed = 0;
  for (const char* point : {"journal.written:700", "journal.before_sync:9", "journal.synced:9",
                            "journal.segment_begun:3", "outbox.before_commit:7", "outbox.committed:7"}) {
    SCOPED_TRACE(point);
    fakes::TempFolder folder;
    SetFolder(folder.path());
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      // A fresh program: fail points are read from the environment once.
      setenv("SLUICE_FAIL_POINT", point, 1);
      setenv("SLUICE_KILL_FOLDER", folder.path().c_str(), 1);
      setenv("SLUICE_KILL_FD", std::to_string(ends[1]).c_str(), 1);
      execl("/proc/self/exe", "outbox_kill_test", "--gtest_filter=KillTest.LivesUntilKilled", nullptr);
      _exit(9);
    }
    close(ends[1]);
    uint64_t safe = 0, n = 0;
    while (read(ends[0], &n, sizeof n) == sizeof n) {
      EXPECT_EQ(n, safe + 1) << "safe in order, once";
      safe = n;
    }
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    killed += WIFSIGNALED(status) ? 1 : 0;

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
  EXPECT_EQ(killed, 6);
}

}  // namespace
}  // namespace sluice::outbox
