// Bytes on their way through one direction of a connection, each chunk with the time at which it may leave. Pure.
//
// A delay that sleeps for every chunk turns 40 ms into a bandwidth of one chunk per 40 ms. Here all chunks wait at the
// same time, as they do on a long cable.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace sluice::faults {

class ByteQueue {
 public:
  // Due times are monotonic and never decrease.
  void Push(std::string bytes, int64_t due_us) {
    bytes_ += bytes.size();
    chunks_.push_back({std::move(bytes), due_us});
  }
  // When the first byte may leave; nothing: the queue is empty.
  std::optional<int64_t> NextDueUs() const {
    if (chunks_.empty()) return std::nullopt;
    return chunks_.front().due_us;
  }
  // Everything that may leave by now, at most about `limit` bytes (whole chunks, at least one if any is due).
  std::string PopDue(int64_t now_us, size_t limit) {
    std::string out;
    while (!chunks_.empty() && chunks_.front().due_us <= now_us) {
      if (!out.empty() && out.size() + chunks_.front().bytes.size() > limit) break;
      if (out.empty()) {
        out = std::move(chunks_.front().bytes);
      } else {
        out += chunks_.front().bytes;
      }
      chunks_.pop_front();
    }
    bytes_ -= out.size();
    return out;
  }
  void Clear() {
    chunks_.clear();
    bytes_ = 0;
  }
  size_t bytes() const { return bytes_; }
  bool empty() const { return chunks_.empty(); }

 private:
  struct Chunk {
    std::string bytes;
    int64_t due_us = 0;
  };
  std::deque<Chunk> chunks_;
  size_t bytes_ = 0;
};

}  // namespace sluice::faults
