// The one door into the uplink's thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/item.h"

namespace sluice::sync {

using Task = absl::AnyInvocable<void()>;

// Thread-safe. Held by shared pointers, so that a late callback of gRPC or the outbox finds it, closed if need be.
class Mailbox {
 public:
  // False: closed, the task was dropped.
  bool Post(Task task);
  // Marks the queue; many marks before the next Wait are one.
  void Wake(Queue queue);
  void Close();

  struct Mail {
    std::vector<Task> tasks;
    uint32_t woken = 0;   // bit QueueIndex(queue)
  };
  // Everything that came; waits for at most `wait_us` until something did. For one thread.
  Mail Take(int64_t wait_us);

 private:
  std::atomic<uint32_t> woken_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  std::vector<Task> tasks_;
  bool closed_ = false;
};

}  // namespace sluice::sync
