// The gateway's end of one queue's stream (PROTOCOL.md): frames and time in, frames out, the outbox behind. Knows no gRPC,
// so that a simulation can run it through any schedule.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/item.h"
#include "sluice/sync/v1/sync.pb.h"
#include "sync/alarm.h"
#include "sync/contradiction.h"
#include "sync/lease_watch.h"
#include "sync/link_share.h"
#include "sync/outbox.h"
#include "sync/pacing.h"

namespace sluice::sync {

struct SenderOptions {
  PacingOptions pacing;
  int64_t renew_us = 100'000'000;         // of silence
  int64_t welcome_timeout_us = 20'000'000;
  int64_t ack_timeout_us = 60'000'000;    // something in flight and nothing acknowledged
  int64_t goodbye_timeout_us = 5'000'000;
  int64_t proved_after_us = 10'000'000;   // a stream this old ends a series of failures
  int max_refusals_in_a_row = 3;
};

// Whose stream it is: from the certificate that is presented.
struct StreamIdentity {
  std::string gateway;
  std::string shop;
  std::string hardware_id;
  std::string software;
};

struct SenderFigures {
  uint64_t in_flight_items = 0, in_flight_bytes = 0;
  uint64_t sent_batches = 0, sent_items = 0, sent_bytes = 0, acked_items = 0, acks = 0;
  uint64_t welcomes = 0, refusals = 0, renewals = 0, dead_letters = 0, alarms = 0, restores = 0, keyed_anew = 0;
  int64_t ack_time_us = 0;       // smoothed, from sending a batch to its acknowledgement
  double rate_bytes_s = 0;       // measured while batches were in flight
};

// How a stream ended, as the retry policy wants it.
struct StreamEnd {
  absl::Status status;
  std::optional<int64_t> hint_ms;   // the server's word when to come back
  bool proved = false;              // it was welcomed and acknowledged something, or lasted
  bool slow = false;                // an alarm: hurrying would not help
  bool at_once_allowed = false;     // by the last Welcome, for a gateway that lost only its own link
};

// One per queue, for its whole life: Connected … Disconnected, Connected … Not thread-safe; times are monotonic
// microseconds and never go back. `outbox`, `share` and `observer` (which may be null) outlive it.
class Sender {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  Sender(SenderOptions options, Queue queue, Outbox& outbox, LinkShare& share, Observer* observer);

  // A stream is open; the next frame is Hello. FailedPrecondition: the running epoch is another gateway's.
  absl::Status Connected(StreamIdentity identity, int64_t now_us);
  // An error means: end the stream with it and call Disconnected.
  absl::Status OnFrame(const v1::ServerFrame& frame, int64_t now_us);
  // The stream is over: with `status` from the server, the transport or this sender. `hint_ms` from the transport.
  StreamEnd Disconnected(absl::Status status, std::optional<int64_t> hint_ms, int64_t now_us);
  // The outbox woke us.
  void ItemsAvailable();

  // Fills `frame` (reused: what it held is dropped) with the next frame to write. False: nothing to write now; ask again
  // after any input and at WakeAtUs(). An error means the same as for OnFrame. May read the outbox.
  absl::StatusOr<bool> Next(int64_t now_us, v1::ClientFrame& frame);
  int64_t WakeAtUs() const;
  // The part of Next that may be asked while a frame is still being written: has the cloud been silent too long?
  absl::Status Overdue(int64_t now_us) const;

  bool streaming() const { return state_ == State::kStreaming; }
  SenderFigures figures() const;

 private:
  enum class State { kDown, kHello, kAwaitWelcome, kStreaming, kLeaving };

  // One epoch of Hello and how far it has come on this stream.
  struct Stretch {
    Epoch epoch;
    uint64_t last = 0;     // at Hello; the running epoch grows beyond it
    uint64_t cursor = 0;   // acknowledged
    uint64_t next = 1;     // to send
  };
  void FillHello(v1::Hello& hello);
  absl::StatusOr<bool> FillBatch(int64_t now_us, v1::ClientFrame& frame);
  absl::Status OnWelcome(const v1::Welcome& welcome, int64_t now_us);
  absl::Status KeyAnew(const Stretch& stretch, uint64_t trusted, const Contradiction& why);
  void WatchLease(const absl::Status& end, int64_t now_us);
  absl::Status OnAck(const v1::Ack& ack, int64_t now_us);
  absl::Status OnRefusal(const v1::Refusal& refusal);
  void OnGoodbye(const v1::Goodbye& goodbye, int64_t now_us);
  void SkipCompleteEpochs();
  void NoteDeadLetters(const google::protobuf::RepeatedPtrField<v1::DeadLetter>& letters);
  void Tell(Alarm alarm, const std::string& text);
  absl::Status RaiseAlarm(Alarm alarm, const std::string& text);   // ends the stream
  std::optional<size_t> Find(std::string_view epoch) const;
  bool Running(size_t stretch) const { return stretch + 1 == stretches_.size(); }
  void UpdateShare();

  const SenderOptions options_;
  const Queue queue_;
  Outbox& outbox_;
  LinkShare& share_;
  Observer* const observer_;

  Pacing pacing_;
  State state_ = State::kDown;
  StreamIdentity identity_;
  std::vector<Stretch> stretches_;   // in start order; the last is the running one
  size_t current_ = 0;               // nothing of a later one is sent yet (R10)
  bool may_have_items_ = true;       // the last Read was not empty, or we were woken since
  int64_t last_frame_us_ = 0;
  int64_t last_progress_us_ = 0;
  int64_t state_since_us_ = 0;
  int refusals_in_a_row_ = 0;
  bool proved_ = false;
  bool slow_ = false;
  bool at_once_allowed_ = false;
  bool welcomed_ = false;            // on this stream
  bool alarmed_ = false;             // on this stream
  bool outrun_ = false;              // another epoch runs than the last of Hello
  LeaseWatch lease_;
  bool contradicted_ = false;        // by the last Welcome, and nothing was acknowledged since
  std::optional<int64_t> hint_ms_;
  std::string goodbye_;
  std::string generation_;
  std::set<EpochId> foreign_;        // alarmed about already
  std::string alarmed_shop_;
  SenderFigures figures_;
};

}  // namespace sluice::sync
