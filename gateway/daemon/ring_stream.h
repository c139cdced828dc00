// Rings that people pull from, as streams that wake the control service.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "gateway/control/control_source.h"

namespace sluice::daemon {

// Watches one ring while somebody reads from it: a thread that sleeps in the ring and wakes every reader. Without readers
// the ring has no waiter and its writers pay nothing. Thread-safe.
template <typename Ring>
class RingWatch {
 public:
  explicit RingWatch(const Ring& ring) : ring_(ring), thread_([this] { Run(); }) {}
  ~RingWatch() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  using Token = std::list<control::Wake>::iterator;
  Token Add(control::Wake wake) {
    const std::lock_guard lock(mutex_);
    wakes_.push_front(std::move(wake));
    changed_.notify_all();
    return wakes_.begin();
  }
  void Remove(Token token) {
    const std::lock_guard lock(mutex_);
    wakes_.erase(token);
  }

 private:
  void Run() {
    uint64_t position = ring_.newest();
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (wakes_.empty()) {
        changed_.wait(lock, [this] { return stopping_ || !wakes_.empty(); });
        continue;
      }
      lock.unlock();
      // The timeout bounds how long stopping takes; new entries end the wait at once.
      const bool came = ring_.WaitPast(position, 100);
      position = ring_.newest();
      lock.lock();
      if (came) {
        for (const auto& wake : wakes_) wake();
      }
    }
  }

  const Ring& ring_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::list<control::Wake> wakes_;
  bool stopping_ = false;
  std::thread thread_;
};

// One reader of a ring. `pass` filters entries, `render` makes the message; `ring` and `watch` outlive it.
template <typename Message, typename Ring>
class RingStream final : public control::Stream<Message> {
 public:
  using Positioned = typename Ring::Positioned;
  using Filter = std::function<bool(const Positioned&)>;
  using Render = std::function<Message(const Positioned&)>;

  RingStream(const Ring& ring, RingWatch<Ring>& watch, uint64_t last, control::Wake wake, Filter pass, Render render)
      : ring_(ring), watch_(watch), pass_(std::move(pass)), render_(std::move(render)) {
    // The newest `last` that pass the filter, found from behind over what the ring remembers.
    const auto remembered = ring_.ReadAfter(0, SIZE_MAX);
    uint64_t wanted = last;
    position_ = remembered.empty() ? 0 : remembered.back().position;
    for (auto it = remembered.rbegin(); it != remembered.rend() && wanted > 0; ++it) {
      if (!pass_(*it)) continue;
      position_ = it->position - 1;
      --wanted;
    }
    token_ = watch_.Add(std::move(wake));
  }
  ~RingStream() override { watch_.Remove(token_); }

  std::optional<Message> Next() override {
    while (true) {
      auto next = ring_.ReadAfter(position_, 1);
      if (next.empty()) return std::nullopt;
      dropped_ += next.front().position - position_ - 1;
      position_ = next.front().position;
      if (!pass_(next.front())) continue;
      Message message = render_(next.front());
      message.set_dropped(std::exchange(dropped_, 0));
      return message;
    }
  }

 private:
  const Ring& ring_;
  RingWatch<Ring>& watch_;
  const Filter pass_;
  const Render render_;
  uint64_t position_ = 0;
  uint64_t dropped_ = 0;
  typename RingWatch<Ring>::Token token_;
};

}  // namespace sluice::daemon
