// Every family of drivers there is.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "devices/driver.h"
#include "devices/lines/driver.h"
#include "devices/native/driver.h"
#include "devices/native/listener_driver.h"

namespace sluice::devices {

// One list for each family, as the configuration gives them.
struct DriversConfig {
  std::vector<native::MqttSourceConfig> mqtt;
  std::vector<native::ListenerSourceConfig> listener;
  std::vector<lines::LineSourceConfig> serial;
};

// Makes them, starts none. The first configuration that can never work is the error, with the source's name.
// `sink`, `clock` and `random` must outlive them; shut the sink down before stopping them.
absl::StatusOr<std::vector<std::unique_ptr<Driver>>> MakeDrivers(const DriversConfig& config, EventSink& sink,
                                                                 const Clock& clock, Random& random);

}  // namespace sluice::devices
