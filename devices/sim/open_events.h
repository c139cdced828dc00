// What a device keeps until a receipt names it, and what it sends next: go back N, never re-sending what a receipt names.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "devices/sim/family.h"
#include "devices/sim/receipt.h"

namespace sluice::sim {

struct OpenEvent {
  uint64_t boot = 0;
  uint64_t seq = 0;
  Kind kind = Kind::kStatus;
  bool sent = false;     // at least once, in this process
  bool puback = false;
  bool closed = false;   // named by a receipt, waiting for the lower ones to be closed too
  int64_t sent_us = 0;   // monotonic: the newest sending
  std::string body;      // JSON object
};

// Pure; not thread-safe. Ordered by (boot, seq).
class OpenEvents {
 public:
  // Above all that are in it.
  void Add(OpenEvent event);
  // The next to send, or null when everything open has been sent. Stays until Sent.
  OpenEvent* Next();
  // The one from Next went out.
  void Sent();
  // Sends everything open again, from the lowest.
  void GoBack();

  struct Change {
    uint64_t closed = 0;
    std::vector<std::pair<OpenEvent, std::string>> refused;  // with the reason
  };
  // Closes what the receipt names. Numbers that are not open are nothing new: receipts are cumulative.
  Change Close(const Receipt& receipt);
  // Closes one, if it is open.
  bool CloseOne(uint64_t boot, uint64_t seq);
  // Null if it is not held.
  OpenEvent* Find(uint64_t boot, uint64_t seq);

  // Open ones; closed ones behind an open one do not count.
  size_t size() const { return open_; }
  bool empty() const { return open_ == 0; }
  // Sent and still open.
  bool AnySent() const { return next_ > 0; }
  const std::deque<OpenEvent>& events() const { return events_; }

 private:
  size_t LowerBound(uint64_t boot, uint64_t seq) const;
  bool CloseAt(size_t index);
  void Trim();

  std::deque<OpenEvent> events_;
  size_t next_ = 0;  // index in events_: what Next looks at first
  size_t open_ = 0;
};

}  // namespace sluice::sim
