// A life of the journal on a recorded disk, what was promised meanwhile, and the check that a disk image keeps it.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "gateway/journal/journal.h"
#include "tests/fakes/recorded_disk.h"

namespace sluice::journal {

// What one epoch was given. Grows; never forgets.
struct EpochTruth {
  EpochId id;
  uint64_t ordinal = 0;
  struct Stream {
    std::map<uint64_t, std::set<uint64_t>> offered;  // number → every content that was tried under it
    std::map<uint64_t, uint64_t> taken;              // number → the content that Append took
  };
  std::array<Stream, kQueueCount> streams;
};

// What is promised at a moment.
struct Promise {
  struct Stream {
    std::set<uint64_t> safe;  // completed, or read at a start and so answered for
    uint64_t gone_to = 0;     // acknowledged or stored elsewhere: the journal may forget
  };
  std::map<size_t, std::array<Stream, kQueueCount>> epochs;  // by index in Truth::epochs
  size_t running = SIZE_MAX;  // the epoch of the last start …
  bool synced = false;        // … something of which a sync has made safe …
  bool closing = false;       // … and which is being closed
};

struct Mark {
  enum class Kind : uint8_t { kOpened, kSafe, kGone, kClosing } kind;
  size_t epoch = 0;
  Queue queue = Queue::kShopBulk;
  uint64_t number = 0;
};

void Keep(const Mark& mark, Promise& promise);

// Shared by a workload and all the recoveries that are tried on its images. Thread-safe where completions touch it.
struct Truth {
  std::vector<EpochTruth> epochs;
  uint64_t next_content = 1;
};

// One disk from an image on, and the processes that live on it one after the other.
class Session {
 public:
  struct Shape {
    Options options;
    bool sealed = false;
    int steps = 100;            // of each life
    double faults = 0;          // chance of a fault at each step
    int depth = 0;              // how many power cuts it lies behind
  };

  Session(const Shape& shape, Truth& truth, Promise promise, fakes::DiskImage image, uint64_t seed);
  ~Session();

  // Start, check, work, end. `kill`: as kill -9; otherwise an orderly close.
  void Live(bool kill);
  // Nothing more is written.
  void PowerOff();

  const fakes::RecordedDisk& disk() const { return disk_; }
  const std::vector<Mark>& marks() const { return marks_; }
  const Promise& promise_at_start() const { return promise_at_start_; }
  // Outbox and SQLite over the journal's segments, as a start of the daemon would: slow, so for some.
  void RecoverThroughOutbox();

 private:
  void Open();
  void Check();
  void CheckStream(size_t epoch, Queue queue);
  void Step();
  void Sync();
  void Append(bool in_sync);
  void AppendDuringSync();
  void Forget();
  void Fault();
  void MakeRoom();
  void Note(Mark mark);
  void PromiseWhatIsThere();
  fakes::RecordedDisk::WriteFate Written(const std::string& path, uint64_t offset, size_t size);
  absl::Status Synced();

  const Shape shape_;
  Truth& truth_;
  const Promise promise_at_start_;
  fakes::RecordedDisk disk_;
  SeededRandom dice_;         // the test's thread
  SeededRandom fate_;         // under the disk's lock, for what happens to writes
  SeededRandom ids_;
  ManualClock clock_;
  std::unique_ptr<Sealer> sealer_;

  std::mutex mu_;             // guards marks_ and promise_
  std::vector<Mark> marks_;
  Promise promise_;           // now

  std::unique_ptr<Journal> journal_;
  size_t epoch_ = 0;          // index of the running one
  std::atomic<int> write_faults_ = 0, sync_faults_ = 0;
  std::atomic<int> write_fault_kind_ = 0;
  std::atomic<uint64_t> unsynced_ = 0;   // bytes of records, about

  std::mutex gate_mu_;
  std::condition_variable gate_;
  enum class Gate { kOpen, kArmed, kHeld } gate_state_ = Gate::kOpen;
};

}  // namespace sluice::journal
