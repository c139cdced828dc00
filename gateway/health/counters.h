// How the gateway is doing: counters that only grow, and warnings that stand until what they name is over.
//
// Each degraded mode has one counter and one warning. Handed down from the daemon; read by the control service.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace sluice::health {

// Any thread, without a lock.
class Counter {
 public:
  void Add(int64_t by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Thread-safe. Names are snake_case, by part: outbox_sqlite_errors.
class Counters {
 public:
  // The same object for the same name; it lives as long as the registry. Look it up once and keep the reference.
  Counter& Get(std::string_view name);
  // A part that counts by itself: asked at each Values, from the reading thread, without a lock of the registry. Must stay
  // valid as long as the registry.
  void AddSource(std::function<std::map<std::string, int64_t>()> source);
  std::map<std::string, int64_t> Values() const;

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, std::unique_ptr<Counter>, std::less<>> counters_;
  std::vector<std::function<std::map<std::string, int64_t>()>> sources_;
};

}  // namespace sluice::health
