// What the cloud could never accept of ours, as its acknowledgements name it. In memory: the cloud keeps the letters.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/item.h"

namespace sluice::daemon {

struct DeadLetterEntry {
  Queue queue = Queue::kShopBulk;
  EpochId epoch;             // under which it was sent
  uint64_t number = 0;
  std::string reason;
  std::optional<EventId> event_id;   // where the outbox still has it
  int64_t at_ms = 0;         // when we were told, by the wall clock
};

// Thread-safe. The newest 1000 since the start.
class DeadLetterLog {
 public:
  explicit DeadLetterLog(size_t capacity = 1000) : capacity_(capacity) {}

  // One that is told of again (a cloud that was restored) takes the place of the first.
  void Add(DeadLetterEntry entry);
  // Oldest first.
  std::vector<DeadLetterEntry> List() const;
  // How many were let go for lack of room.
  uint64_t forgotten() const;

 private:
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<DeadLetterEntry> entries_;   // guarded by mutex_
  uint64_t forgotten_ = 0;                // guarded by mutex_
};

}  // namespace sluice::daemon
