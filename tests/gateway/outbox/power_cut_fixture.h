// A life of journal and outbox on one recorded disk, what was promised meanwhile, and the check that a start on a disk image
// keeps it.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gateway/journal/journal.h"
#include "gateway/outbox/outbox.h"
#include "tests/fakes/recorded_disk.h"
#include "tests/fakes/recorded_vfs.h"

namespace sluice::outbox::power_cut {

using Numbers = std::set<uint64_t>;

// What one epoch was given. Grows; never forgets.
struct EpochTruth {
  EpochId id;
  std::array<std::map<uint64_t, uint64_t>, kQueueCount> taken;   // number → content
  // Refused, when the disk was: it may lie there nevertheless, if nothing was taken under the number since.
  std::array<std::map<uint64_t, Numbers>, kQueueCount> refused;
};

// Shared by a workload and, as a copy, by the branch of history that begins with a power cut.
struct Truth {
  std::vector<EpochTruth> epochs;   // in start order
  uint64_t next_content = 1;
  // What a salvage that nothing disturbed has found: one that was cut short must come to the same.
  bool salvaged = false;
  std::map<std::pair<size_t, Queue>, Numbers> salvage;
};

// What is promised at a moment.
struct Promise {
  struct Stream {
    uint64_t safe_to = 0;      // completed, or found at a start and so answered for
    uint64_t cursor = 0;       // the cloud's
    uint64_t cursor_high = 0;  // the highest it ever was, before the cloud was restored
    Numbers gone;              // declared lost, and rightly
  };
  std::map<size_t, std::array<Stream, kQueueCount>> epochs;   // by index in Truth::epochs
  bool damaged = false;        // the database was, and has not been set aside and salvaged yet
};

struct Mark {
  enum class Kind : uint8_t { kSafe, kCursor, kRestored, kGone, kNamed } kind;
  size_t epoch = 0;
  Queue queue = Queue::kShopBulk;
  uint64_t number = 0;
  uint64_t first = 0;   // of kGone
};

void Keep(const Mark& mark, Promise& promise);

// What was done, to show that it was.
struct Counts {
  uint64_t starts = 0, records = 0, gaps = 0, quota_gaps = 0, damaged = 0, set_aside = 0, salvaged = 0, rewinds = 0;
};

struct Shape {
  Options options;
  journal::Options journal;
  bool sealed = false;
  int checkpoint_pages = 1000;
  int steps = 100;   // of each life
  int depth = 0;     // how many power cuts it lies behind
};

// The n-th of the writes, or of the syncs, fails; or each from it on.
struct Fault {
  enum class Kind { kIoError, kNoSpace, kShortWrite, kSync } kind = Kind::kIoError;
  uint64_t n = 1;
  bool for_good = false;
};

// One disk from an image on, and the processes that live on it one after the other.
class Session {
 public:
  Session(const Shape& shape, Truth& truth, Promise promise, fakes::DiskImage image, uint64_t seed, Counts& counts);
  ~Session();

  // Start, judge, work, end. `kill`: as kill -9; otherwise an orderly close.
  void Live(bool kill);
  // The same on a disk that fails, which nobody judges. False: there was no n-th call.
  bool LiveWithFault(const Fault& fault, bool kill);
  // Nothing more is written.
  void PowerOff();

  const fakes::RecordedDisk& disk() const { return disk_; }
  const std::vector<Mark>& marks() const { return marks_; }
  const Promise& promise_at_start() const { return promise_at_start_; }
  static std::string DatabasePath();

 private:
  void Start();
  void End();
  void Die();
  void NoteEpoch();
  void Judge();
  void JudgeStream(size_t epoch, const std::vector<sync::Held>& held, Queue queue);
  bool MayBeGone(const Promise::Stream& promise, uint64_t number, const Item& gap) const;
  void Step();
  void Append();
  void Deliver(Queue queue);
  void Spill();
  void RestoreTheCloud(Queue queue);
  void Note(Mark mark);
  Promise::Stream PromiseOf(size_t epoch, Queue queue);
  std::string Figures() const;   // of the outbox, for a failure
  size_t IndexOf(const EpochId& id) const;

  const Shape shape_;
  Truth& truth_;
  const Promise promise_at_start_;
  fakes::RecordedDisk disk_;
  SeededRandom dice_;   // the test's thread
  SeededRandom ids_;
  ManualClock clock_;
  Counts& counts_;
  std::unique_ptr<Sealer> sealer_;

  bool faulty_ = false;   // calls may fail

  std::mutex mu_;       // guards marks_ and promise_
  std::vector<Mark> marks_;
  Promise promise_;     // now

  std::unique_ptr<fakes::RecordedVfs> vfs_;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<Outbox> outbox_;
};

}  // namespace sluice::outbox::power_cut
