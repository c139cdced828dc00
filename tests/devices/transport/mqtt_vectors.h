// Packets as data: the files of mqtt_vectors/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "devices/transport/mqtt_packet.h"

namespace sluice::transport {

struct MqttVector {
  std::string name;
  MqttLevel level = MqttLevel::kUnknown;
  MqttSender sender = MqttSender::kClient;
  std::string bytes;
  std::string expected;   // in the words of mqtt_describe.h
};

// Reads $SLUICE_SOURCE/tests/devices/transport/mqtt_vectors/<file>; throws where it cannot.
std::vector<MqttVector> ReadMqttVectors(const std::string& file);

// Everything that can be said of the bytes: "= PUBLISH …", "! 0x81 @2 …" or "more".
std::string DecodeInWords(std::string_view bytes, MqttLevel level, MqttSender sender, MqttPacket* packet = nullptr);

}  // namespace sluice::transport
