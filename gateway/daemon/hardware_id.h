// What tells one box from another, also after it was re-imaged (delivery rule on leases).
#pragma once

#include <string>

#include "absl/status/status.h"
#include "base/random.h"

namespace sluice::daemon {

struct HardwareIdentity {
  std::string id;
  absl::Status kept;   // why a random one could not be kept: the next start will have another
};

// The first there is: what the configuration says, the board's serial number (device tree), the firmware's product UUID
// (DMI), the machine id; else a random one kept in the state folder, which a clone of the card would share.
HardwareIdentity HardwareId(const std::string& configured, const std::string& state_folder, Random& random);

}  // namespace sluice::daemon
