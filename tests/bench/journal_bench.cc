// How fast events are appended, stored and read back: journal_bench <folder> [events] [bytes]. The folder must be on
// the file system that is to be measured.
#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "base/random.h"
#include "base/strings.h"
#include "gateway/outbox/outbox.h"

namespace sluice {
namespace {

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

long PeakRssKib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

struct Timer {
  SystemClock clock;
  int64_t began_us = clock.MonotonicUs();
  double cpu = CpuSeconds();
  void Print(const char* what, uint64_t count) const {
    const double seconds = static_cast<double>(clock.MonotonicUs() - began_us) / 1e6;
    std::printf("%-34s %9.0f /s  %6.2f us of CPU each  peak RSS %ld KiB\n", what, static_cast<double>(count) / seconds,
                (CpuSeconds() - cpu) * 1e6 / static_cast<double>(count), PeakRssKib());
  }
};

int Run(const std::string& folder, uint64_t events, size_t bytes) {
  PosixFileSystem files;
  SystemClock clock;
  SystemRandom random;
  const std::string body(bytes, 'x');
  std::atomic<uint64_t> safe = 0;
  const auto append = [&](journal::Journal& journal, Queue queue, uint64_t count, bool wait) {
    for (uint64_t i = 0; i < count;) {
      EventId id;
      id.bytes[0] = static_cast<uint8_t>(i);
      journal::Completion done;
      if (wait) done = [&](absl::Status) { ++safe; };
      auto number = journal.Append({queue, id, 0, body}, std::move(done));
      if (number.ok()) {
        ++i;
      } else if (!journal.WaitForSpace(60'000)) {
        return false;
      }
    }
    return true;
  };
  {
    auto journal =
        journal::Journal::Open({.folder = StrCat(folder, "/alone")}, "gw", "shop", 1, files, clock, random, nullptr);
    if (!journal.ok()) {
      std::fprintf(stderr, "%s\n", journal.status().ToString().c_str());
      return 1;
    }
    const Timer timer;
    const Queue queue = Queue::kShopBulk;
    for (uint64_t i = 0; i < events; i += 1000) {
      append(**journal, queue, 1000, true);
      (*journal)->Release((*journal)->epoch().id, queue, (*journal)->LastNumber(queue));
    }
    timer.Print("append, bulk, with completion", events);
    std::printf("  syncs %lu\n", (*journal)->figures().syncs);
  }
  auto journal =
      journal::Journal::Open({.folder = StrCat(folder, "/journal")}, "gw", "shop", 1, files, clock, random, nullptr);
  if (!journal.ok()) return 1;
  auto opened = outbox::Outbox::Open({.folder = folder}, **journal, clock, nullptr, nullptr);
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", opened.status().ToString().c_str());
    return 1;
  }
  outbox::Outbox& outbox = **opened;
  const EpochId epoch = (*journal)->epoch().id;
  {
    // As with the link up: a reader takes and acknowledges as fast as it can.
    std::atomic<bool> stop = false;
    std::thread uplink([&] {
      for (uint64_t next = 1; next <= events && !stop;) {
        auto items = outbox.Read(Queue::kInventory, epoch, next, {});
        if (!items.ok() || items->empty()) {
          std::this_thread::yield();
          continue;
        }
        next = items->back().last + 1;
        outbox.Acknowledge(Queue::kInventory, epoch, next - 1);
      }
    });
    const Timer timer;
    if (!append(**journal, Queue::kInventory, events, true)) stop = true;
    uplink.join();
    timer.Print("append, read, acknowledge", events);
    std::printf("  stored meanwhile: %ld\n", static_cast<long>(outbox.counters()["spilled_rows"]));
  }
  {
    const Timer timer;
    if (!append(**journal, Queue::kShopBulk, events, false)) return 1;
    outbox.OnSpaceNeeded(0);
    while (outbox.figures(Queue::kShopBulk).stored < events) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    timer.Print("append and store, link down", events);
  }
  {
    const Timer timer;
    if (!outbox.Close().ok()) return 1;
    opened->reset();
    journal->reset();
    journal =
        journal::Journal::Open({.folder = StrCat(folder, "/journal")}, "gw", "shop", 1, files, clock, random, nullptr);
    if (!journal.ok()) return 1;
    opened = outbox::Outbox::Open({.folder = folder}, **journal, clock, nullptr, nullptr);
    if (!opened.ok()) return 1;
    timer.Print("restart", 1);
  }
  {
    outbox::Outbox& again = **opened;
    const Timer timer;
    uint64_t next = 1;
    while (next <= events) {
      auto items = again.Read(Queue::kShopBulk, epoch, next, {});
      if (!items.ok() || items->empty()) {
        std::fprintf(stderr, "read at %lu: %s\n", next, items.status().ToString().c_str());
        return 1;
      }
      for (const Item& item : *items) {
        if (item.IsGap() || item.first != next++) return 1;
      }
      again.Acknowledge(Queue::kShopBulk, epoch, next - 1);
    }
    timer.Print("drain", events);
  }
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (argc < 2) {
    std::fprintf(stderr, "usage: journal_bench <folder> [events] [bytes]\n");
    return 2;
  }
  return sluice::Run(argv[1], argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 200'000,
                     argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 200);
}
