// Lets go of what would grow without bound: rows of the bus that every publisher has, and the audit. Nothing else: effects,
// losses and dead letters stay.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "cloud/eventbus/outbox_trim.h"
#include "cloud/store/store.h"

namespace sluice::retention {

struct Options {
  // Days of service (age_marks.h); 0: for ever. Rows go within a day after they have the age.
  int64_t bus_days = 7;
  int64_t audit_days = 400;
  std::vector<std::string> publishers;                   // of the bus, all that are configured
  int64_t newest_bus_rows = eventbus::kNewestKept;       // stay in any case
  int64_t look_every_ms = 600'000;
};

class Retention {
 public:
  // `store` and `clock` outlive it.
  Retention(Options options, store::Store& store, const Clock& clock);
  ~Retention();   // between two transactions

  // Looks now and then regularly, on a thread of its own; failures go to `alarm` and are made up for at the next look.
  void Start(std::function<void(const absl::Status&)> alarm);

  // One look: notes the time served and lets go of what is due, in short transactions. For one thread at a time.
  absl::Status Look();

 private:
  absl::Status TrimBus(int64_t old_to);
  // `step` deletes some rows and says how many: again, in a transaction each, until it finds fewer than it may take.
  absl::Status InSteps(absl::FunctionRef<absl::StatusOr<int64_t>(store::Transaction&)> step);
  bool stopping();

  const Options options_;
  store::Store& store_;
  const Clock& clock_;
  int64_t noted_us_;   // up to here the time served is noted

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;   // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice::retention
