// Every family there is: one line each.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "devices/driver.h"
#include "devices/native/driver.h"

namespace sluice::devices {

struct DriverConfigs {
  std::vector<native::MqttSourceConfig> mqtt;
};

// Not started. `sink` and `clock` outlive the drivers.
absl::StatusOr<std::vector<std::unique_ptr<Driver>>> MakeDrivers(const DriverConfigs& configs, EventSink& sink,
                                                                 const Clock& clock);

}  // namespace sluice::devices
