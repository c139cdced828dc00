#include "sync/pacing.h"

#include <algorithm>

namespace sluice::sync {
namespace {

// In-flight items for which the pace is stretched by one minimum.
constexpr uint64_t kItemsPerPaceStep = 256;
constexpr int64_t kShortestWindowUs = 10'000'000;

void Smooth(int64_t& average, int64_t sample) { average += average == 0 ? sample : (sample - average) / 8; }

}  // namespace

void Pacing::Restart(int64_t now_us) {
  Drop();
  due_us_ = now_us;
  window_since_us_ = now_us;
  ack_time_us_ = shortest_us_ = shortest_before_us_ = 0;
}

void Pacing::SetCredit(uint64_t items, uint64_t bytes) {
  credit_items_ = items;
  credit_bytes_ = bytes;
}

std::optional<ReadLimits> Pacing::Room(int64_t now_us, bool urgent_waits) {
  window_closed_ = false;
  // An idle link waits for no more than the least pace.
  if (flights_.empty()) due_us_ = std::min(due_us_, last_batch_us_ + options_.pace_min_us);
  if (now_us < due_us_) return std::nullopt;
  ReadLimits limits{.max_items = options_.max_batch_items, .max_bytes = options_.max_batch_bytes};
  const uint64_t window = WindowBytes(urgent_waits);
  if (flights_.empty()) {
    limits.max_items = std::clamp<uint64_t>(credit_items_, 1, limits.max_items);
    limits.max_bytes = std::clamp<uint64_t>(window, 1, limits.max_bytes);
    return limits;
  }
  const uint64_t max_items = std::min(credit_items_, options_.max_in_flight_items);
  // Half a batch or half the window: less would send the rest in crumbs.
  const uint64_t least_items = std::min<uint64_t>(options_.max_batch_items / 2, max_items / 2) + 1;
  const uint64_t least_bytes = std::min<uint64_t>(options_.max_batch_bytes / 2, window / 2) + 1;
  if (in_flight_items_ + least_items > max_items || in_flight_bytes_ + least_bytes > window) {
    window_closed_ = true;
    return std::nullopt;
  }
  limits.max_items = std::min<uint64_t>(limits.max_items, max_items - in_flight_items_);
  limits.max_bytes = std::min<uint64_t>(limits.max_bytes, window - in_flight_bytes_);
  return limits;
}

void Pacing::Sent(size_t epoch, uint64_t last, uint64_t items, uint64_t bytes, const ReadLimits& room, int64_t now_us) {
  flights_.push_back(Flight{.epoch = epoch,
                            .last = last,
                            .items = items,
                            .bytes = bytes,
                            .sent_us = now_us,
                            .acked_bytes_then = acked_bytes_});
  in_flight_items_ += items;
  in_flight_bytes_ += bytes;
  last_batch_us_ = now_us;
  const bool full = items >= room.max_items || 2 * bytes >= room.max_bytes;
  due_us_ = full ? now_us : now_us + PaceUs();
}

uint64_t Pacing::Acknowledged(size_t epoch, uint64_t cursor, int64_t now_us) {
  uint64_t items = 0;
  while (!flights_.empty()) {
    const Flight& flight = flights_.front();
    if (flight.epoch > epoch || (flight.epoch == epoch && flight.last > cursor)) break;
    acked_bytes_ += flight.bytes;
    const int64_t took_us = std::max<int64_t>(now_us - flight.sent_us, 1);
    NoteAckTime(took_us, now_us);
    const double rate = static_cast<double>(acked_bytes_ - flight.acked_bytes_then) * 1e6 / static_cast<double>(took_us);
    rate_bytes_s_ += rate_bytes_s_ == 0 ? rate : (rate - rate_bytes_s_) / 8;
    in_flight_items_ -= flight.items;
    in_flight_bytes_ -= flight.bytes;
    items += flight.items;
    flights_.pop_front();
  }
  return items;
}

void Pacing::Drop() {
  flights_.clear();
  in_flight_items_ = 0;
  in_flight_bytes_ = 0;
}

uint64_t Pacing::WindowBytes(bool urgent_waits) const {
  const uint64_t window = std::min(credit_bytes_, options_.max_in_flight_bytes);
  if (!bulk_) return window;
  if (rate_bytes_s_ == 0) return std::min<uint64_t>(window, 4 * options_.max_batch_bytes);
  const double seconds = urgent_waits ? options_.bulk_window_busy_s : options_.bulk_window_s;
  const double bound = std::min(rate_bytes_s_ * seconds, static_cast<double>(window));
  return std::min<uint64_t>(window, std::max<uint64_t>(static_cast<uint64_t>(bound), options_.bulk_window_floor_bytes));
}

int64_t Pacing::PaceUs() const {
  const int64_t steps = 1 + static_cast<int64_t>(in_flight_items_ / kItemsPerPaceStep);
  const int64_t shortest = shortest_before_us_ == 0 ? shortest_us_ : std::min(shortest_us_, shortest_before_us_);
  const int64_t queueing = std::max<int64_t>(ack_time_us_ - shortest, 0);
  return std::min(options_.pace_min_us * steps, options_.pace_max_us) + std::min(queueing / 2, options_.pace_queue_max_us);
}

void Pacing::NoteAckTime(int64_t took_us, int64_t now_us) {
  Smooth(ack_time_us_, took_us);
  if (now_us - window_since_us_ >= kShortestWindowUs) {
    window_since_us_ = now_us;
    shortest_before_us_ = shortest_us_;
    shortest_us_ = took_us;
  }
  shortest_us_ = shortest_us_ == 0 ? took_us : std::min(shortest_us_, took_us);
}

}  // namespace sluice::sync
