// How old the rows of a store are without asking the wall clock (delivery rule R13): counted in time that the store was served,
// so that no jump of a clock makes rows old. While the service stands still nothing grows older, and a run that is killed
// loses what it had not noted: rows stay longer, never shorter.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cloud/store/migration.h"
#include "cloud/store/store.h"

namespace sluice::retention {

inline constexpr int64_t kDayMs = 86'400'000;

// Tables service_time and age_marks.
store::Component Schema();

// Adds what was served since the last call and returns all of it, ms.
absl::StatusOr<int64_t> AddServed(store::Transaction& transaction, int64_t ms);

// Notes that the highest number of `series` is `mark` now, at `served_ms`, unless a note is younger than a day.
absl::Status NoteMark(store::Transaction& transaction, const std::string& series, int64_t served_ms, int64_t mark);

// The newest mark that is at least `age_ms` old; 0: none is. Earlier ones are forgotten.
absl::StatusOr<int64_t> MarkOfAge(store::Transaction& transaction, const std::string& series, int64_t served_ms,
                                  int64_t age_ms);

}  // namespace sluice::retention
