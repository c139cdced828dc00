// What was refused and why: the newest in memory, a rate-limited part of it handed on to be stored, all of it counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "devices/event.h"
#include "gateway/intake/newest_ring.h"

namespace sluice::intake {

struct RejectEntry {
  int64_t at_ms = 0;       // Unix ms by the gateway's clock
  std::string source;      // all text but `head` is printable UTF-8 of bounded size
  std::string where;
  std::string device_id;
  std::string reason;
  std::string head;        // the first 1 KiB as it came, any bytes; a remark instead where it may tell of a person
  uint64_t size = 0;

  size_t Bytes() const { return source.size() + where.size() + device_id.size() + reason.size() + head.size() + 64; }
};

// A row of the outbox's table of rejected messages, and back. DataLoss if the bytes are not such a row.
std::string EncodeReject(const RejectEntry& entry);
absl::StatusOr<RejectEntry> DecodeReject(std::string_view row);

// Thread-safe.
class RejectLog : public NewestRing<RejectEntry> {
 public:
  struct Options {
    double stored_per_second = 20;   // a broken device must not wear the card out
    double stored_burst = 100;
  };

  // `store` takes an encoded row and returns at once; may be empty. Called from the thread that rejects.
  RejectLog(Options options, const Clock& clock, std::function<void(std::string)> store);

  void Add(devices::Rejection rejection);
  // What an earlier run stored, oldest first: shown, not counted, not stored again. Returns how many rows were unreadable.
  size_t Restore(const std::vector<std::string>& rows);

  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  uint64_t not_stored() const { return not_stored_.load(std::memory_order_relaxed); }

 private:
  bool MayStore();

  const Options options_;
  const Clock& clock_;
  const std::function<void(std::string)> store_;
  std::atomic<uint64_t> count_{0};
  std::atomic<uint64_t> not_stored_{0};

  std::mutex mutex_;
  // Guarded by mutex_: a bucket of tokens, filled by the monotonic clock.
  double tokens_;
  int64_t filled_us_;
};

}  // namespace sluice::intake
