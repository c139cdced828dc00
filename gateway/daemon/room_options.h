// From the configuration's sections to the options of each room.
#pragma once

#include <string>

#include "devices/all_drivers.h"
#include "gateway/config/config.h"
#include "gateway/control/control_server.h"
#include "gateway/intake/intake.h"
#include "gateway/journal/journal.h"
#include "gateway/outbox/outbox.h"
#include "sync/uplink.h"

namespace sluice::daemon {

journal::Options JournalOptions(const config::Config& config);
outbox::Options OutboxOptions(const config::Config& config);
intake::Options IntakeOptions(const config::Config& config, const std::string& gateway, const std::string& shop);
sync::UplinkOptions UplinkOptions(const config::Config& config, std::string hardware_id, std::string software);
control::Options ControlOptions(const config::Config& config);
// `gateway` names the session at a broker whose client_id is not configured. No certificate of a device is judged by a clock
// below `clock_floor_ms`.
devices::DriversConfig DriverConfigs(const config::Config& config, const std::string& gateway, int64_t clock_floor_ms);

}  // namespace sluice::daemon
