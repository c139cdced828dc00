// Streams over a ring of newest entries: what `tail` reads from.
//
// The ring belongs to whoever fills it and knows nothing of readers; it only can be waited for. One thread waits for all
// streams of a ring, so that filling it costs the same whether anybody reads or not, and a stream is woken, never polled.
// The ring is all the buffer there is: a stream that is too slow finds the oldest entries gone and says how many.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "gateway/control/control_source.h"

namespace sluice::control {

// `Ring` is thread-safe and has (like gateway/intake/newest_ring.h)
//   uint64_t newest() const                       position of the newest entry, from 1; 0: none yet
//   ReadAfter(uint64_t position, size_t max)      a range of {position, entry}, ascending, forgotten ones left out
//   bool WaitPast(uint64_t position, int64_t ms)  true once newest() > position
// The ring must outlive the watcher. Streams must be gone before the watcher goes (stop the ControlServer first).
template <typename Ring>
class RingWatcher {
 public:
  explicit RingWatcher(const Ring& ring) : ring_(ring), thread_([this] { Run(); }) {}
  ~RingWatcher() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  RingWatcher(const RingWatcher&) = delete;
  RingWatcher& operator=(const RingWatcher&) = delete;

  // Begins with the newest `last` entries that `render` takes. `render(entry)` makes the message of an entry, or nothing
  // where this stream does not want it; it runs on the threads of the streams, never on those that fill the ring.
  // The message needs set_dropped.
  template <typename Message, typename Render>
  std::unique_ptr<Stream<Message>> Open(size_t last, Wake wake, Render render) {
    return std::make_unique<RingStream<Message, Render>>(*this, last, std::move(wake), std::move(render));
  }

 private:
  static constexpr size_t kReadAtOnce = 64;
  static constexpr int64_t kWaitMs = 500;   // how long stopping may take while somebody tails

  template <typename Message, typename Render>
  class RingStream final : public Stream<Message> {
   public:
    RingStream(RingWatcher& watcher, size_t last, Wake wake, Render render)
        : watcher_(watcher), wake_(std::move(wake)), render_(std::move(render)) {
      position_ = watcher_.ring_.newest();
      if (last == 0) return;
      for (const auto& positioned : watcher_.ring_.ReadAfter(0, std::numeric_limits<size_t>::max())) {
        position_ = positioned.position;
        if (auto message = render_(positioned.entry)) ready_.push_back(*std::move(message));
        if (ready_.size() > last) ready_.pop_front();
      }
    }
    ~RingStream() override { watcher_.Forget(this); }

    std::optional<Message> Next() override {
      if (ready_.empty()) Read();
      if (ready_.empty()) {
        // Asked to be woken first, looked again afterwards: what came in between is seen by one of the two.
        watcher_.WakeWhenPast(this, position_, wake_);
        Read();
        if (ready_.empty()) return std::nullopt;
        watcher_.Forget(this);
      }
      Message message = std::move(ready_.front());
      ready_.pop_front();
      return message;
    }

   private:
    void Read() {
      while (ready_.empty()) {
        const auto block = watcher_.ring_.ReadAfter(position_, kReadAtOnce);
        if (block.empty()) return;
        for (const auto& positioned : block) {
          dropped_ += positioned.position - position_ - 1;
          position_ = positioned.position;
          if (auto message = render_(positioned.entry)) {
            message->set_dropped(std::exchange(dropped_, 0));
            ready_.push_back(*std::move(message));
          }
        }
      }
    }

    RingWatcher& watcher_;
    const Wake wake_;
    Render render_;
    uint64_t position_ = 0;      // everything up to it was looked at
    uint64_t dropped_ = 0;
    std::deque<Message> ready_;  // at most `last` or kReadAtOnce
  };

  struct Waiting {
    uint64_t position = 0;
    Wake wake;
  };

  void WakeWhenPast(const void* stream, uint64_t position, const Wake& wake) {
    {
      const std::lock_guard lock(mutex_);
      waiting_[stream] = {position, wake};
    }
    changed_.notify_one();
  }
  void Forget(const void* stream) {
    const std::lock_guard lock(mutex_);
    waiting_.erase(stream);
  }

  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      uint64_t position = std::numeric_limits<uint64_t>::max();
      for (const auto& [stream, waiting] : waiting_) position = std::min(position, waiting.position);
      lock.unlock();
      const bool came = ring_.WaitPast(position, kWaitMs);
      const uint64_t newest = came ? ring_.newest() : 0;
      lock.lock();
      std::erase_if(waiting_, [&](const auto& entry) {
        if (newest <= entry.second.position) return false;
        entry.second.wake();
        return true;
      });
    }
  }

  const Ring& ring_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<const void*, Waiting> waiting_;   // under mutex_
  bool stopping_ = false;                    // under mutex_
  std::thread thread_;                       // last: it uses all of the above
};

}  // namespace sluice::control
