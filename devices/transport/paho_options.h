// Our options in Paho's terms.
#pragma once

#include "absl/status/status.h"
#include "devices/transport/mqtt.h"

namespace mqtt {
class connect_options;
}  // namespace mqtt

namespace sluice::transport {

// `version`: MQTTVERSION_5 or MQTTVERSION_3_1_1. Fills, and never moves: a moved connect_options loses its MQTT 5 properties
// without a word, and with them the session. Reads the password file, and may throw what Paho throws.
absl::Status FillConnectOptions(const MqttOptions& options, const MqttAddress& address, int version,
                                mqtt::connect_options& connect);

}  // namespace sluice::transport
