// One thread that moves streams on when something new is there, so that whoever publishes never writes to a client.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace sluice::control {

// A stream to one client. Pump may be called at any time from the pump's thread and from gRPC's.
class Pumped {
 public:
  virtual ~Pumped() = default;
  // Sends what is there, unless a write is under way.
  virtual void Pump() = 0;
  // Ends the stream as soon as no write is under way.
  virtual void End() = 0;
};

// Thread-safe.
class StreamPump {
 public:
  StreamPump() : thread_([this] { Run(); }) {}
  ~StreamPump() { Stop(); }

  // False: no room or stopping; the stream is not taken in.
  bool Add(const std::shared_ptr<Pumped>& stream, size_t max_streams) {
    std::lock_guard lock(mutex_);
    if (stopping_ || streams_.size() >= max_streams) return false;
    streams_.insert(stream);
    return true;
  }
  void Remove(const std::shared_ptr<Pumped>& stream) {
    std::lock_guard lock(mutex_);
    streams_.erase(stream);
  }
  // Asks for stream->Pump() soon. Returns at once.
  void Wake(const std::weak_ptr<Pumped>& stream) {
    std::lock_guard lock(mutex_);
    ready_.push_back(stream);
    changed_.notify_one();
  }
  // Ends every stream and takes no more. The thread is gone when it returns.
  void Stop() {
    std::set<std::shared_ptr<Pumped>> streams;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      streams.swap(streams_);
      changed_.notify_one();
    }
    for (const auto& stream : streams) stream->End();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || !ready_.empty(); });
      if (stopping_) return;
      std::vector<std::weak_ptr<Pumped>> ready;
      ready.swap(ready_);
      lock.unlock();
      for (const auto& weak : ready) {
        if (auto stream = weak.lock()) stream->Pump();
      }
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::shared_ptr<Pumped>> streams_;
  std::vector<std::weak_ptr<Pumped>> ready_;
  bool stopping_ = false;
  std::thread thread_;   // last: it uses all of the above
};

}  // namespace sluice::control
