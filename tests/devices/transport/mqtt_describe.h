// Control packets in words, for expectations: "PUBLISH q1 #10 a/b = hello".
#pragma once

#include <string>
#include <string_view>

#include "devices/transport/mqtt_packet.h"

namespace sluice::transport {

std::string Describe(const MqttPacket& packet);
std::string Describe(const MqttProperties& properties);   // "{receive maximum 256, user a=b}"; empty if there are none
// "0x81 @2 topic name [MQTT-3.3.2-2]"
std::string Describe(const MqttFault& fault);

std::string FromHex(std::string_view hex);   // blanks are skipped
std::string ToHex(std::string_view bytes);

}  // namespace sluice::transport
