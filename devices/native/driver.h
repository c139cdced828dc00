// Devices that speak native MQTT, through one broker.
#pragma once

#include <memory>
#include <string>

#include "devices/driver.h"
#include "devices/transport/mqtt.h"

namespace sluice::native {

// [mqtt.<name>] of the configuration. Defaults as in transport::MqttOptions.
struct MqttSourceConfig {
  std::string name = "main";        // the source is called mqtt:<name>
  std::string url = "mqtt://127.0.0.1:1883";
  bool allow_plaintext = false;     // plain TCP beyond this machine
  transport::MqttVersion version = transport::MqttVersion::kAuto;
  std::string client_id;            // required
  std::string username;
  std::string password_file;
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  uint32_t session_expiry_s = 7 * 24 * 3600;
  uint16_t receive_maximum = 1000;
  int keep_alive_s = 30;
  int connect_timeout_s = 10;
  int64_t backoff_cap_ms = 30'000;
  size_t max_outstanding_receipts = 256;
};

// Subscribes to every event topic and hands events to the sink inside Paho's callback: the broker is answered when Accept
// returned. A message that Accept answers with Unavailable is not acknowledged: the connection is cut and the broker
// delivers it again (devices/transport/mqtt.h says how).
// Receipts go out at QoS 1; of a device that has one waiting, the new one takes its place (ranges are cumulative; refused
// and ids are carried over).
//
// Shut the sink down before Stop: Stop waits for an Accept that is blocked. `sink` must outlive it.
std::unique_ptr<devices::Driver> MakeMqttSource(MqttSourceConfig config, devices::EventSink& sink);

}  // namespace sluice::native
