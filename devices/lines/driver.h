// Devices that speak lines on a serial port.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "devices/driver.h"
#include "devices/lines/profile.h"
#include "devices/transport/serial_port.h"

namespace sluice::lines {

// [serial.<name>] of the configuration.
struct LineSourceConfig {
  std::string name;                          // the source is called serial:<name>
  std::string port;                          // best /dev/serial/by-id/…
  std::string profile_file;
  std::string device;                        // the device on the port; may be empty only with format "events"
  // Instead of the profile's.
  std::optional<int> baud;
  std::optional<int> data_bits;
  std::optional<transport::Parity> parity;
  std::optional<int> stop_bits;
  std::optional<transport::FlowControl> flow;
  std::optional<bool> rs485;
  bool rs485_rts_on_send = true;             // with rs485
  int rs485_delay_before_ms = 0;
  int rs485_delay_after_ms = 0;
  std::optional<int64_t> offline_after_ms;
  std::optional<bool> receipts;
  int64_t retry_min_ms = 250;
  int64_t retry_max_ms = 5000;
};

// Port → frames → profile → sink, all on the loop's thread: an Accept that blocks holds up the loop's other ports, whose
// bytes wait in the kernel. What Accept answers with Unavailable is lost unless the device keeps it until its receipt.
// A device that falls silent (offline_after_ms) or whose port vanishes is told as offline, and as online with its next
// line. Receipts go out as one line {"ack":{…}}, with a member `device` where the configuration names none; only for
// devices that were heard on this port.
//
// InvalidArgument for a profile or configuration that can never work. Shut the sink down before Stop. `sink` must outlive it.
absl::StatusOr<std::unique_ptr<devices::Driver>> MakeLineSource(LineSourceConfig config, std::shared_ptr<transport::SerialLoop> loop,
                                                                devices::EventSink& sink);

// Whether MakeLineSource would make it: reads the profile, opens no port.
absl::Status CheckLineSource(const LineSourceConfig& config);

}  // namespace sluice::lines
