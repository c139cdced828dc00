// The outbox's inside. Lock order: the journal's lock comes before `mu_` (OnAppended runs under it), so nothing here
// may call the journal while it holds `mu_`.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gateway/outbox/outbox.h"
#include "gateway/outbox/store.h"
#include "gateway/outbox/stream.h"

namespace sluice::outbox {

class OutboxImpl final : public Outbox {
 public:
  OutboxImpl(const Options& options, journal::Journal& journal, const Clock& clock, const Sealer* sealer,
             Snapshots* snapshots);
  ~OutboxImpl() override;

  // Before any other call (recovery.cc).
  absl::Status Load();

  // sync::Outbox
  std::vector<sync::Held> HeldEpochs(Queue queue) override;
  Epoch RunningEpoch(Queue queue) override;
  absl::Status BeginEpoch(const std::string& shop) override;
  absl::Status KeyAnew(Queue queue, const EpochId& epoch, uint64_t trusted) override;
  absl::Status Recover(Queue queue, const std::vector<sync::Floor>& floors) override;
  absl::StatusOr<std::vector<Item>> Read(Queue queue, const EpochId& epoch, uint64_t from,
                                         const sync::ReadLimits& limits) override;
  void Acknowledge(Queue queue, const EpochId& epoch, uint64_t through) override;
  void Sent(Queue queue, const EpochId& epoch, uint64_t first, uint64_t last) override;
  std::optional<EventId> IdAt(Queue queue, const EpochId& epoch, uint64_t number) override;
  void SetWakeup(Queue queue, std::function<void()> wake) override;
  void LinkUp(Queue queue, bool up) override;

  // journal::Tail
  void OnAppended(Item item) override;
  void OnSpaceNeeded(uint64_t segment) override;
  void OnSegmentChange() override;
  void OnEpochBegun(const Epoch& epoch) override;

  // Outbox
  std::map<std::string, std::string> LoadSnapshots() override;
  QueueFigures figures(Queue queue) const override;
  StartReport start_report() const override;
  absl::StatusOr<History> Find(const EventId& id) override;
  void PutRejected(std::string row) override;
  absl::StatusOr<std::vector<std::string>> ListRejected(size_t newest) override;
  std::map<std::string, int64_t> counters() const override;
  absl::Status Close() override;

 private:
  using Lock = std::unique_lock<std::mutex>;

  struct QueueState {
    std::vector<std::unique_ptr<Stream>> streams;  // in start order; the running epoch's is the last
    std::function<void()> wake;
    bool armed = true;  // the next item calls `wake`
    bool link_up = false;
    uint64_t acknowledged = 0;                      // since the start
    int64_t ack_time_us = 0;    // smoothed
    std::deque<TimeRow> times;  // ascending by time, bounded
    size_t times_saved = 0;     // how many of them are in the database
  };
  // One stream's share of a spill transaction.
  struct Spill {
    Stream* stream;
    uint64_t from = 0, through = 0;  // numbers that are to be rows afterwards
    bool from_journal = false;       // not in memory: read the segments
    std::vector<Item> items;
    int64_t holes = 0;  // of the items: gaps where the journal should have had something
    StoredRange added;
  };

  // Of times.
  enum { kSent = 1, kAcknowledged = 2 };

  // Under mu_.
  // Storing begins before memory is full, so that it need not be left out.
  bool MemoryShort() const { return memory_bytes_ > options_.memory_bytes / 4 * 3; }
  // By the epoch that its items are stored under, and by one that they are sent under.
  Stream* FindStream(Queue queue, const EpochId& epoch) const;
  struct SentStream {
    Stream* stream = nullptr;
    SentPart part;
  };
  SentStream FindSent(Queue queue, const EpochId& epoch) const;
  Stream& Running(Queue queue) const { return *queues_[QueueIndex(queue)].streams.back(); }
  void DropMemory(Stream& stream, uint64_t through);
  void NoteTime(QueueState& state, int64_t stream, int kind, uint64_t first, uint64_t last);
  void WakeQueue(Lock& lock, Queue queue);

  // writer.cc: on the writer thread
  void RunWriter();
  int64_t DueUs(int64_t now) const;
  std::vector<Spill> PlanSpill(int64_t now, bool all);
  absl::Status SpillSome(std::vector<Spill> spills);
  absl::Status FillFromJournal(Spill& spill);
  absl::Status WriteSpills(std::vector<Spill>& spills);
  absl::Status SaveWithin(const std::map<Stream*, uint64_t>& stored);
  absl::Status SaveRest();
  void WriterFailed(const absl::Status& status);
  // From any thread: runs `work` on the writer thread and waits for it.
  absl::Status OnWriter(std::function<absl::Status()> work);

  // retention.cc: on the writer thread
  absl::Status MakeRoom(uint64_t bytes, bool critical);
  absl::Status TrimReplayWindow();
  absl::Status NoteUse();
  absl::StatusOr<bool> DropAcknowledged();  // false: there is nothing to drop
  absl::StatusOr<bool> DropOldestBulk();
  absl::Status ForgetEmptyStreams();

  // key_anew.cc: on the writer thread
  struct Cut {
    Stream* stream;
    uint64_t from;
    SentAs after;
    bool rewound = false;  // what was acknowledged is pending again
  };
  absl::Status KeyAnewNow(Queue queue, const EpochId& epoch, uint64_t trusted);
  absl::Status SaveCuts(const std::vector<Cut>& cuts);

  // With stored keys, by number.
  void AcknowledgeStored(Queue queue, const EpochId& epoch, uint64_t through);
  absl::StatusOr<std::vector<Item>> ReadStored(Queue queue, const EpochId& epoch, uint64_t from, uint64_t through,
                                               const sync::ReadLimits& limits);
  uint64_t FirstHeld(const Stream& stream) const;

  // reading.cc
  struct Source {
    enum { kNothing, kMemory, kStore, kJournal } kind = kNothing;
    uint64_t through = 0;  // the source answers for numbers up to here
    int64_t renewals = 0;  // when it was looked up
    Stream key;            // id, epoch and queue of the stream: it may be forgotten meanwhile
  };
  Source FindSource(Queue queue, const EpochId& epoch, uint64_t from, uint64_t through, const sync::ReadLimits& limits,
                    std::vector<Item>* out);
  GapReason ReasonOfHole(const Stream& stream, uint64_t from, uint64_t to) const;
  // Declares [from, to] lost. Without room for that in the database the gap is put into `out`.
  absl::Status CloseHole(Queue queue, const EpochId& epoch, uint64_t from, uint64_t to, bool in_store,
                         std::vector<Item>* out);

  // opening.cc: at start, then on the writer thread
  absl::Status OpenStore();
  std::vector<std::unique_ptr<Stream>> WithoutDatabase(absl::Status why);
  // There is a database to write to, and all that could be salvaged is in it. Tries to bring that about where it is not so.
  absl::Status EnsureStore();
  absl::Status Renew();  // the database turned out to be damaged
  absl::Status RenewUnlessDone(int64_t renewals_seen);
  // Renames a database and what belongs to it to outbox.db.<mark>-<n>; returns the new name, or nothing if it cannot be.
  std::string MoveAway(const std::string& path, std::string_view mark);
  // Its new path; nothing if it cannot be moved.
  std::string SetAside(std::string_view mark);
  // Everything that can be read in the file is in the database, the rest is declared: it need not be looked at again.
  void Salvaged(const std::string& path);

  // recovery.cc
  // Puts into the database the streams that are not there yet: after a start on a full disk some wait for room.
  absl::Status AddMissingStreams();
  void ForgetAtStart();
  absl::Status RecoverStream(Stream& stream, uint64_t cursor);
  // Makes the database hold all of [first, last]: from the journal, or as a gap where nothing has it any more.
  absl::Status FillHoles(Stream& stream, uint64_t first, uint64_t last, GapReason reason);
  absl::Status InsertGap(Stream& stream, uint64_t first, uint64_t last, GapReason reason);
  absl::Status InsertRows(Stream& stream, const std::vector<Item>& items);
  void TakeStreams(std::vector<std::unique_ptr<Stream>> streams, const std::string& gateway);
  void SortStreams(const EpochId& running);

  // salvage.cc: as opening.cc
  struct Rescue {
    Stream* stream;
    int64_t old_id;  // in the database that was set aside
    uint64_t rows;
    uint64_t next = 1;  // what lies below is salvaged
  };
  struct Salvage {
    std::string path;
    std::shared_ptr<sqlite::Database> db;  // null: nothing of it can be read
    std::vector<Rescue> rescues;
    bool snapshots_done = false;
  };
  std::vector<std::string> SalvageFiles() const;
  void FindSalvages();
  void SalvageAtStart();
  absl::Status FinishSalvages();
  absl::StatusOr<std::vector<Rescue>> AddStreamsAnew();
  std::vector<Rescue> AdoptStreams(std::vector<std::unique_ptr<Stream>> streams);
  absl::Status SalvageSnapshots(sqlite::Database& db);
  absl::Status SalvageRows(Salvage& salvage);
  absl::Status SalvageStream(sqlite::Database& db, Rescue& rescue);

  const Options options_;
  journal::Journal& journal_;
  const Clock& clock_;
  const Sealer* const sealer_;
  Snapshots* const snapshots_;
  PosixFileSystem machine_;
  FileSystem& files_;
  const std::string path_;
  std::unique_ptr<Store> store_;
  std::string aside_;             // its streams are ours; there is no database yet to salvage it into
  std::deque<Salvage> salvages_;  // not finished
  bool loaded_ = false;           // the writer runs

  mutable std::mutex mu_;
  StartReport report_;  // once the writer runs, under mu_
  std::condition_variable writer_cv_;
  std::array<QueueState, kQueueCount> queues_;
  size_t memory_bytes_ = 0;
  int64_t renewals_ = 0;  // new databases while running
  bool holes_may_be_salvaged_ = false;  // without a database: a file that is not read has rows
  bool space_needed_ = false;
  bool snapshot_needed_ = false;
  bool writer_sleeps_ = false;
  bool stop_ = false;
  bool closed_ = false;
  std::deque<std::function<void()>> jobs_;
  std::deque<std::string> rejected_;  // not yet in the database
  int64_t rejected_saved_us_ = 0;
  int64_t positions_saved_us_ = 0;
  int64_t retry_at_us_ = 0;  // after an error of the database
  std::map<std::string, int64_t> counters_;
  std::thread writer_;
};

}  // namespace sluice::outbox
