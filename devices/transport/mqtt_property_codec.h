// Which packet may carry which property, and how properties are read and written. The codec's own.
#pragma once

#include <cstdint>

#include "devices/transport/mqtt_properties.h"
#include "devices/transport/mqtt_reader.h"
#include "devices/transport/mqtt_writer.h"

namespace sluice::transport {

// Columns of table 2-4, PUBLISH and DISCONNECT by who sends them.
enum MqttCarrier : uint32_t {
  kInConnect = 1 << 0,
  kInWill = 1 << 1,
  kInConnack = 1 << 2,
  kInPublishOfClient = 1 << 3,
  kInPublishOfServer = 1 << 4,
  kInAck = 1 << 5,   // PUBACK, PUBREC, PUBREL, PUBCOMP
  kInSubscribe = 1 << 6,
  kInSuback = 1 << 7,   // UNSUBACK too
  kInUnsubscribe = 1 << 8,
  kInDisconnectOfClient = 1 << 9,
  kInDisconnectOfServer = 1 << 10,
  kInAuth = 1 << 11,
};

// Length and properties. False: the reader's fault is set.
bool ReadMqttProperties(MqttReader& reader, MqttCarrier carrier, MqttProperties* properties);
void WriteMqttProperties(const MqttProperties& properties, MqttWriter& writer);

}  // namespace sluice::transport
