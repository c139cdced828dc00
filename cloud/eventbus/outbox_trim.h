// Which rows of bus_outbox may go, and letting them go: always the oldest, never one that a publisher still needs (case 32).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cloud/store/store.h"

namespace sluice::eventbus {

// The newest rows stay however old they are: so many a tail may ask for, and by so many the shop service recognises repeats
// of status and telemetry after a restart.
inline constexpr int64_t kNewestKept = 100'000;

struct TrimRules {
  std::vector<std::string> publishers;   // all that are configured, by their names in bus_relay; one without a note: nothing goes
  int64_t old_to = 0;                    // rows above this position are too young to go
  int64_t newest_kept = kNewestKept;
};

// Up to which position rows may go now, 0: none; later it may only be higher. For a Read: it walks over the newest rows.
absl::StatusOr<int64_t> TrimBound(store::Transaction& transaction, const TrimRules& rules);

// Deletes at most `rows` of the oldest rows up to `bound`; returns how many.
absl::StatusOr<int64_t> Trim(store::Transaction& transaction, int64_t bound, int64_t rows);

// The highest position ever let go; 0: none. Everything above it that was committed is there.
absl::StatusOr<int64_t> TrimmedTo(store::Transaction& transaction);

}  // namespace sluice::eventbus
