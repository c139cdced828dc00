#include "devices/all_drivers.h"

namespace sluice::devices {

absl::StatusOr<std::vector<std::unique_ptr<Driver>>> MakeDrivers(const DriverConfigs& configs, EventSink& sink,
                                                                 const Clock&) {
  std::vector<std::unique_ptr<Driver>> drivers;
  for (const auto& config : configs.mqtt) drivers.push_back(native::MakeMqttSource(config, sink));
  return drivers;
}

}  // namespace sluice::devices
