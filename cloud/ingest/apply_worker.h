// The one thread of a service that applies batches.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"

namespace sluice::ingest {

// Thread-safe.
class ApplyWorker {
 public:
  using Task = absl::AnyInvocable<void()>;

  // `when_idle` runs on the thread after every stretch of work that is followed by `idle_after_ms` without any.
  explicit ApplyWorker(std::function<void()> when_idle, int64_t idle_after_ms = 300);
  ~ApplyWorker();   // finishes what is posted

  // Urgent work goes before all that is not.
  void Post(Task task, bool urgent);

 private:
  void Run();

  const std::function<void()> when_idle_;
  const std::chrono::milliseconds idle_after_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> urgent_, bulk_;   // guarded by mutex_
  bool stop_ = false;                // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice::ingest
