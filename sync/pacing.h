// When the next batch of a stream may go and how much it may hold: what is in flight, the credit, the measured link. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>

#include "sync/outbox.h"

namespace sluice::sync {

struct PacingOptions {
  size_t max_batch_items = 512;
  size_t max_batch_bytes = 256u << 10;
  // A batch that is not full waits this long after the one before; the more is in flight, the nearer to the maximum, so
  // that a busy link carries fewer and larger frames.
  int64_t pace_min_us = 1'000;
  int64_t pace_max_us = 4'000;
  // On top, half of what acknowledgements lately took beyond the shortest of the last seconds: where each batch costs the
  // cloud a flush of its disk, smaller batches than it can flush only queue up there.
  int64_t pace_queue_max_us = 16'000;
  // Upper bounds of what is in flight, whatever credit the cloud gives.
  uint64_t max_in_flight_items = 65'536;
  uint64_t max_in_flight_bytes = 8u << 20;
  // Bulk in flight, in seconds of the measured link rate: while an urgent queue waits, and otherwise.
  double bulk_window_busy_s = 1.0;
  double bulk_window_s = 4.0;
  uint64_t bulk_window_floor_bytes = 64u << 10;
};

// One per sender, for its whole life. Not thread-safe; times are monotonic microseconds and never go back.
class Pacing {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  Pacing(const PacingOptions& options, bool bulk) : options_(options), bulk_(bulk) {}

  // A stream was welcomed: nothing is in flight, and how long its acknowledgements take is to be seen. The rate of the
  // link is remembered.
  void Restart(int64_t now_us);
  // Of the last Welcome or Ack.
  void SetCredit(uint64_t items, uint64_t bytes);

  // How much the next batch may hold. Nothing: not now, see DueUs. With nothing in flight one item may go whatever the
  // credit, because no Ack would bring new credit otherwise.
  std::optional<ReadLimits> Room(int64_t now_us, bool urgent_waits);
  // A batch went out that fills `room` or all there was: of the epoch with this index, up to the number `last`.
  void Sent(size_t epoch, uint64_t last, uint64_t items, uint64_t bytes, const ReadLimits& room, int64_t now_us);
  // Everything of the epoch up to the number took effect, and all of the epochs before; returns how many items.
  uint64_t Acknowledged(size_t epoch, uint64_t cursor, int64_t now_us);
  // What is in flight will not be acknowledged.
  void Drop();
  // Another epoch comes next: it need not wait for the batch before.
  void Hurry() { due_us_ = 0; }

  // When Room may have something to give; kNever: not before an acknowledgement.
  int64_t DueUs() const { return window_closed_ ? kNever : due_us_; }
  bool idle() const { return flights_.empty(); }

  uint64_t in_flight_items() const { return in_flight_items_; }
  uint64_t in_flight_bytes() const { return in_flight_bytes_; }
  int64_t ack_time_us() const { return ack_time_us_; }   // smoothed, from sending a batch to its acknowledgement
  double rate_bytes_s() const { return rate_bytes_s_; }  // measured while batches were in flight

 private:
  struct Flight {
    size_t epoch = 0;
    uint64_t last = 0;
    uint64_t items = 0;
    uint64_t bytes = 0;
    int64_t sent_us = 0;
    uint64_t acked_bytes_then = 0;
  };

  uint64_t WindowBytes(bool urgent_waits) const;
  int64_t PaceUs() const;
  void NoteAckTime(int64_t took_us, int64_t now_us);

  const PacingOptions options_;
  const bool bulk_;

  std::deque<Flight> flights_;
  uint64_t in_flight_items_ = 0;
  uint64_t in_flight_bytes_ = 0;
  uint64_t credit_items_ = 0;
  uint64_t credit_bytes_ = 0;
  uint64_t acked_bytes_ = 0;
  bool window_closed_ = false;
  int64_t due_us_ = 0;
  int64_t last_batch_us_ = 0;
  int64_t ack_time_us_ = 0;
  // The shortest acknowledgement of this and of the last window.
  int64_t shortest_us_ = 0;
  int64_t shortest_before_us_ = 0;
  int64_t window_since_us_ = 0;
  double rate_bytes_s_ = 0;
};

}  // namespace sluice::sync
