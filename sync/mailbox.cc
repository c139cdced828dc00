#include "sync/mailbox.h"

#include <chrono>
#include <utility>

namespace sluice::sync {

bool Mailbox::Post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
  return true;
}

void Mailbox::Wake(Queue queue) {
  const uint32_t bit = 1u << QueueIndex(queue);
  if ((woken_.fetch_or(bit) & bit) != 0) return;
  // Between the waiter's look at woken_ and its sleep lies the mutex; passing through it is what makes it see us.
  { const std::lock_guard lock(mutex_); }
  changed_.notify_one();
}

void Mailbox::Close() {
  std::vector<Task> dropped;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(tasks_);
}

Mailbox::Mail Mailbox::Take(int64_t wait_us) {
  Mail mail;
  std::unique_lock lock(mutex_);
  if (wait_us > 0 && tasks_.empty() && woken_.load() == 0) {
    changed_.wait_for(lock, std::chrono::microseconds(wait_us),
                      [this] { return !tasks_.empty() || woken_.load() != 0; });
  }
  mail.tasks.swap(tasks_);
  mail.woken = woken_.exchange(0);
  return mail;
}

}  // namespace sluice::sync
