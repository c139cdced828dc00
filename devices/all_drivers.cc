#include "devices/all_drivers.h"

#include "base/status.h"
#include "base/strings.h"

namespace sluice::devices {

absl::StatusOr<std::vector<std::unique_ptr<Driver>>> MakeDrivers(const DriversConfig& config, EventSink& sink,
                                                                 const Clock& clock, Random& random) {
  std::vector<std::unique_ptr<Driver>> drivers;
  absl::Status error;
  const auto add = [&](const std::string& name, absl::StatusOr<std::unique_ptr<Driver>> made) {
    if (made.ok()) drivers.push_back(*std::move(made));
    else error.Update(WithContext(made.status(), name));
  };
  const auto loop = config.serial.empty() ? nullptr : transport::MakeSerialLoop();   // one thread for all serial ports

  for (const auto& each : config.mqtt) add(StrCat("mqtt:", each.name), native::MakeMqttSource(each, sink));
  for (const auto& each : config.listener) {
    add(StrCat("listener:", each.name), native::MakeListenerSource(each, sink, clock, random));
  }
  for (const auto& each : config.serial) add(StrCat("serial:", each.name), lines::MakeLineSource(each, loop, sink));

  if (!error.ok()) return error;
  return drivers;
}

}  // namespace sluice::devices
