#include "cloud/ingest/apply_worker.h"

#include <utility>

namespace sluice::ingest {

ApplyWorker::ApplyWorker(std::function<void()> when_idle, int64_t idle_after_ms)
    : when_idle_(std::move(when_idle)), idle_after_(idle_after_ms), thread_([this] { Run(); }) {}

ApplyWorker::~ApplyWorker() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ApplyWorker::Post(Task task, bool urgent) {
  {
    std::lock_guard lock(mutex_);
    (urgent ? urgent_ : bulk_).push_back(std::move(task));
  }
  wake_.notify_one();
}

void ApplyWorker::Run() {
  const auto due = [this] { return stop_ || !urgent_.empty() || !bulk_.empty(); };
  bool worked = false;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!worked) {
      wake_.wait(lock, due);
    } else if (!wake_.wait_for(lock, idle_after_, due)) {
      worked = false;
      lock.unlock();
      when_idle_();
      lock.lock();
      continue;
    }
    std::deque<Task>& from = urgent_.empty() ? bulk_ : urgent_;
    if (from.empty()) return;
    Task task = std::move(from.front());
    from.pop_front();
    lock.unlock();
    task();
    task = nullptr;   // what it holds ends before the next wait
    lock.lock();
    worked = true;
  }
}

}  // namespace sluice::ingest
