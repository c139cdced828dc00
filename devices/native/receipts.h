// Receipts on their way to devices.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

#include "devices/event.h"

namespace sluice::native {

// At most one receipt waits for each device and boot: a newer one takes over what the older named apart from the ranges,
// which are cumulative. Bounded by `max_waiting`; beyond it the oldest is dropped, as the device will send again and be
// answered again. Pure; not for several threads.
class ReceiptQueue {
 public:
  explicit ReceiptQueue(size_t max_waiting = 4096) : max_waiting_(max_waiting) {}

  void Push(const devices::Receipt& receipt);
  std::optional<devices::Receipt> Pop();   // the one that waits longest
  // What was popped and could not be sent: first again, or merged into what came meanwhile.
  void Return(devices::Receipt receipt);
  size_t size() const { return order_.size(); }

 private:
  const size_t max_waiting_;
  std::deque<std::string> order_;             // keys, oldest first
  std::unordered_map<std::string, devices::Receipt> waiting_;
};

}  // namespace sluice::native
