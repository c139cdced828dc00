// What is wrong with bytes that should be MQTT: the reason code, the place, the statement of the standard that they break.
#pragma once

#include <cstddef>
#include <string>

#include "devices/transport/mqtt_reason.h"

namespace sluice::transport {

// The texts are constants: a fault costs no memory and may be kept for ever.
struct MqttFault {
  MqttReason reason = MqttReason::kSuccess;   // what a v5 CONNACK or DISCONNECT says; kSuccess: no fault
  const char* statement = "";                 // "MQTT-3.3.2-2" of the level spoken; empty where the standard gives none
  const char* packet = "";                    // "PUBLISH"
  const char* field = "";                     // "topic name"
  const char* what = "";                      // "contains a wildcard"
  size_t offset = 0;                          // of the field's first byte, counted from the packet's first byte

  explicit operator bool() const { return reason != MqttReason::kSuccess; }
  // "PUBLISH, byte 2, topic name: contains a wildcard [MQTT-3.3.2-2]"
  std::string Text() const;
};

}  // namespace sluice::transport
