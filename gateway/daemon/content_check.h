// Whether the files that a configuration names hold what they have to: for `sluiced --check`.
#pragma once

#include "absl/status/status.h"
#include "base/clock.h"
#include "gateway/config/config.h"

namespace sluice::daemon {

// Certificates, keys and authorities, passwords and line profiles, read as their rooms read them; nothing is started. One line for
// each thing that is wrong, with key and file: whatever would keep the daemon from starting, or a link or a source from ever
// working. Dates are not judged. OK, or InvalidArgument.
absl::Status CheckContents(const config::Config& config, const Clock& clock);

}  // namespace sluice::daemon
