// How long a waiter may wait for the cloud before the journal is synced for it (delivery rule R4). Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/item.h"

namespace sluice::journal {

// Microseconds throughout. For one thread at a time.
class SyncPolicy {
 public:
  static constexpr int64_t kCriticalUs = 2'000;
  static constexpr int64_t kBulkUs = 50'000;
  // A flush of a card takes about as long: to wait this long for a near cloud that is late once in a while costs in the
  // tail what the sync costs anyhow, and saves nearly all of them. Each takes two blocks and more of the card's life.
  static constexpr int64_t kCriticalNearUs = 10'000;
  static constexpr int64_t kLongestUs = 200'000;
  // This many waits in a row that the cloud did not answer in time mean that acks do not flow.
  static constexpr int kMissesUntilStalled = 3;

  void LinkUp(Queue queue, bool up) { queues_[QueueIndex(queue)] = State{.up = up}; }

  void OnAck(Queue queue, int64_t ack_time_us) {
    State& state = queues_[QueueIndex(queue)];
    state.misses = 0;
    if (ack_time_us <= 0) return;
    // One eighth of the newest, as TCP smooths its round trips (RFC 6298).
    state.smoothed_us =
        state.smoothed_us == 0 ? ack_time_us : state.smoothed_us + (ack_time_us - state.smoothed_us) / 8;
  }

  // A sync was made because the wait ran out.
  void OnMiss(Queue queue) { ++queues_[QueueIndex(queue)].misses; }

  bool Flows(Queue queue) const {
    const State& state = queues_[QueueIndex(queue)];
    return state.up && state.smoothed_us > 0 && state.misses < kMissesUntilStalled;
  }

  // Never shorter than without a link: syncing more often because the cloud is near would only wear the card.
  int64_t WaitUs(Queue queue) const {
    if (!Flows(queue)) return IsBulk(queue) ? kBulkUs : kCriticalUs;
    const int64_t smoothed = queues_[QueueIndex(queue)].smoothed_us;
    return std::clamp(smoothed + smoothed / 2, IsBulk(queue) ? kBulkUs : kCriticalNearUs, kLongestUs);
  }

  int64_t smoothed_us(Queue queue) const { return queues_[QueueIndex(queue)].smoothed_us; }

 private:
  struct State {
    bool up = false;
    int64_t smoothed_us = 0;  // 0: no ack since the link came up
    int misses = 0;
  };
  std::array<State, kQueueCount> queues_;
};

}  // namespace sluice::journal
