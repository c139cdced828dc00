#include "gateway/daemon/dead_letter_log.h"

#include <algorithm>
#include <utility>

namespace sluice::daemon {

void DeadLetterLog::Add(DeadLetterEntry entry) {
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(entries_.begin(), entries_.end(), [&](const DeadLetterEntry& old) {
    return old.number == entry.number && old.queue == entry.queue && old.epoch == entry.epoch;
  });
  if (known != entries_.end()) entries_.erase(known);
  entries_.push_back(std::move(entry));
  if (entries_.size() > capacity_) {
    entries_.pop_front();
    ++forgotten_;
  }
}

std::vector<DeadLetterEntry> DeadLetterLog::List() const {
  const std::lock_guard lock(mutex_);
  return {entries_.begin(), entries_.end()};
}

uint64_t DeadLetterLog::forgotten() const {
  const std::lock_guard lock(mutex_);
  return forgotten_;
}

}  // namespace sluice::daemon
