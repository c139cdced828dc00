// The journal's inside: what appenders and the one syncer thread share.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/lock_file.h"
#include "gateway/journal/format.h"
#include "gateway/journal/journal.h"
#include "gateway/journal/positions_file.h"
#include "gateway/journal/segment.h"
#include "gateway/journal/sync_policy.h"

namespace sluice::journal {

inline constexpr size_t kMaxNameBytes = 512;  // of a gateway or a shop: they stand in a head of one block

// One mutex guards everything. Appenders write under it, so that numbers and offsets grow together; only the syncer
// thread syncs, begins segments and moves what a failed sync put in doubt, and it lets go of the mutex for the I/O
// while `rotating_` keeps appenders out.
class JournalImpl final : public Journal {
 public:
  JournalImpl(const Options& options, FileSystem& files, const Clock& clock, const Sealer* sealer);
  ~JournalImpl() override;

  // Before any other call.
  absl::Status Load(const std::string& gateway, const std::string& shop, uint64_t ordinal, Random& random);

  Epoch epoch() const override;
  const Found& found() const override { return found_; }
  void Start(Tail* tail) override;
  absl::StatusOr<uint64_t> Append(NewRecord record, Completion done) override;
  absl::StatusOr<uint64_t> TryAppend(NewRecord record, Completion done) override;
  void WhenSafe(const EpochId& epoch, Queue queue, uint64_t number, Completion done) override;
  absl::Status BeginEpoch(const std::string& shop) override;
  bool WaitForSpace(int64_t timeout_ms) override;
  void WhenSpace(absl::AnyInvocable<void()> ready) override;
  void Acknowledged(const EpochId& epoch, Queue queue, uint64_t number, int64_t ack_time_us) override;
  void LinkUp(Queue queue, bool up) override;
  void Release(const EpochId& epoch, Queue queue, uint64_t number) override;
  void Remember(const Epoch& epoch, Queue queue, uint64_t last, uint64_t acked_to) override;
  absl::Status Sync() override;
  absl::Status Read(const EpochId& epoch, Queue queue, uint64_t from, uint64_t last,
                    const std::function<bool(Item)>& visitor) const override;
  absl::Status ReadAll(const std::function<bool(Item)>& visitor) const override;
  Span Holds(const EpochId& epoch, Queue queue) const override;
  uint64_t LastNumber(Queue queue) const override;
  int64_t SyncedAtMs(Queue queue, uint64_t number) const override;
  Figures figures() const override;

 private:
  using Lock = std::unique_lock<std::mutex>;
  using Completions = std::vector<Completion>;

  struct Waiter {
    uint64_t number;
    int64_t since_us;
    Completion done;
  };
  // The running epoch's side of a queue.
  struct Stream {
    uint64_t next = 1;
    uint64_t acked_to = 0;
    uint64_t synced_to = 0;
    std::deque<Waiter> waiters;  // ascending by number
    uint64_t safe_to() const { return std::max(acked_to, synced_to); }
  };
  // Any epoch's.
  struct Progress {
    uint64_t next = 1;  // one above the highest number known to have been taken
    uint64_t end = 0;   // of an earlier epoch: up to here some may have been taken; next - 1 or more
    uint64_t acked_to = 0;
    uint64_t released_to = 0;
  };
  using Numbers = std::array<uint64_t, kQueueCount>;
  struct SyncTime {
    int64_t wall_ms;
    Numbers through;
  };

  enum class Patience { kWait, kReturn };   // while segments are changed

  absl::StatusOr<uint64_t> AppendRecord(NewRecord record, Completion done, Patience patience);

  // load.cc
  absl::Status OpenFolder(std::vector<std::string>* names);
  void LoadSegment(const std::string& name, uint64_t slot);
  void LearnHead(const SegmentHead& head);
  absl::StatusOr<Positions> ReadPositions();
  void LearnPositions();
  void JudgeTail(const Positions& positions);
  void SetAside(const std::string& name, std::string_view mark, const absl::Status& why);
  std::string MoveAside(const std::string& name, std::string_view mark);  // returns its new name
  absl::StatusOr<std::shared_ptr<Segment>> CreateSegment();

  // syncer.cc: all on the syncer thread, or before it runs
  void RunSyncer();
  int64_t DueUs(int64_t now) const;
  void NoteMisses(int64_t now);
  bool SyncCurrent(Lock& lock);  // false: it failed; MoveOrphans has seen to it
  void NoteBegun(bool ok);
  void Rotate(Lock& lock);       // keeps appenders out until it is done
  // What is acknowledged stays for the replay window (R12). A run recycles it as it goes; a start does not while there may
  // be more segments, or a box that is restarted a few times would keep next to nothing.
  enum class Prefer { kRecycled, kAnother };
  absl::Status BeginSegment(Lock& lock, const Epoch& epoch, Prefer prefer = Prefer::kRecycled);
  std::shared_ptr<Segment> PickFree() const;
  bool IsForeign(const Segment& segment) const;
  size_t ForeignSegments() const;
  SegmentHead MakeHead(const Epoch& epoch, uint64_t segment, const Numbers& taken) const;
  void CopyHead(Segment& segment) const;
  void MoveOrphans(Lock& lock);
  absl::Status WriteOrphans(Lock& lock);
  void CallTail(Lock& lock, bool segment_change);
  // positions.cc: the block is made under the lock, written without it.
  Positions MakePositions(uint64_t segment, const Numbers& taken) const;
  enum class Flush { kNo, kAsDue, kYes };
  void WritePositions(Positions positions, Flush when);
  void NoteAcknowledgements(Lock& lock, bool flush);
  void CloseCleanly(Lock& lock);
  void NewBlock(Segment& segment);
  void Complete(Lock& lock);
  bool HasSpace() const { return !full_ && current_ != nullptr; }
  void TellOfSpace(Lock& lock);

  // epoch.cc: on the syncer thread
  void ChangeEpoch(Lock& lock);
  void TakeEpoch(const Epoch& epoch, Completions* unmet);

  bool Releasable(const Segment& segment) const;
  bool HasFree() const;
  void TakeSafe(Stream& stream, Completions* out);
  void WakeSyncerBy(int64_t due_us);
  Item MakeItem(const RecordHeader& header, std::string_view bytes, absl::Status* status) const;

  const Options options_;
  FileSystem& files_;
  const Clock& clock_;
  const Sealer* const sealer_;
  // Of the syncer thread alone. The copy is never waited for: it is for damage, not for power cuts.
  PositionsFile positions_file_, positions_copy_;
  const size_t sync_at_bytes_;
  LockFile lock_file_;
  Random* random_ = nullptr;
  Found found_;

  mutable std::mutex mu_;
  std::condition_variable syncer_cv_;  // the syncer: something is due earlier than it thought
  std::condition_variable room_cv_;    // appenders: rotating_ has ended
  std::condition_variable space_cv_;   // WaitForSpace
  std::condition_variable synced_cv_;  // Sync, Start(nullptr), BeginEpoch

  Epoch epoch_;
  Tail* tail_ = nullptr;
  bool in_tail_ = false;  // the syncer is inside a call of the tail
  std::vector<std::shared_ptr<Segment>> segments_;
  std::shared_ptr<Segment> current_;  // null until one could be begun
  uint64_t next_segment_ = 1;
  uint64_t next_slot_ = 1;
  uint16_t skipped_ = 0;  // unwritten bytes before current_->end, left by the last sync
  bool torn_ = false;     // bytes of a write that failed lie at current_->end
  uint64_t seal_counter_ = 0;
  std::string tail_bytes_;         // frames written since the last sync began
  std::string syncing_;            // frames that the running sync covers
  std::string orphans_;            // frames of a segment whose sync failed, not yet written elsewhere
  int64_t unsynced_since_us_ = 0;  // of the oldest frame in tail_bytes_
  std::array<Stream, kQueueCount> streams_;
  std::map<EpochId, Epoch> epochs_;  // whose numbers progress_ has
  std::map<EpochId, std::array<Progress, kQueueCount>> progress_;
  std::array<Progress, kQueueCount>* mine_ = nullptr;  // of the running epoch, in progress_
  SyncPolicy policy_;
  std::deque<SyncTime> sync_times_;
  Figures figures_;

  static constexpr int64_t kNoteAcksUs = 1'000'000;
  int64_t acks_noted_us_ = 0;   // when that was done last
  bool acks_to_note_ = false;   // something was acknowledged since the positions were written
  uint64_t synced_segment_ = 0;  // the newest of this run that was synced; 0: none yet
  // Of the syncer thread alone:
  uint64_t positions_sequence_ = 0;
  Numbers safe_limit_{};        // as it is on the medium
  Numbers flushed_{};           // what the positions on the medium say was taken
  int64_t flushed_at_us_ = INT64_MIN;
  int64_t positions_retry_us_ = INT64_MIN;  // after an error: not before

  bool rotating_ = false;
  bool rotate_wanted_ = false;
  bool full_ = false;        // no segment can be begun: appends are refused
  bool stuck_ = false;       // when full_: one is free and cannot be written
  int begin_failures_ = 0;   // in a row
  int64_t retry_at_us_ = 0;  // when full_: try again at the latest
  std::vector<absl::AnyInvocable<void()>> space_waiters_;
  int64_t tell_space_at_us_ = 0;   // not before: the disk refused a write
  bool stop_ = false;
  // An epoch that somebody waits for, until the syncer has answered.
  struct NewEpoch {
    Epoch epoch;
    std::optional<absl::Status> answer;
  };
  NewEpoch* new_epoch_ = nullptr;
  uint64_t sync_asked_ = 0, sync_served_ = 0;
  absl::Status sync_status_;
  int64_t syncer_wakes_us_ = INT64_MIN;  // INT64_MIN: it is awake and will look again
  std::thread syncer_;
};

}  // namespace sluice::journal
