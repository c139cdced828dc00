// Control packets of MQTT 3.1.1 (level 4) and 5.0 (level 5), decoded from frames and encoded to bytes, both directions. Pure.
//
// Decoding checks every MUST of the packets' formats (section 3 of both standards); what depends on a session's state is
// checked in mqtt_session. Strings are views into the frame's bytes. A struct can be decoded into again and keeps its memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "devices/transport/mqtt_fault.h"
#include "devices/transport/mqtt_frame.h"
#include "devices/transport/mqtt_properties.h"
#include "devices/transport/mqtt_reason.h"

namespace sluice::transport {

struct MqttWill {
  std::string_view topic, payload;
  uint8_t qos = 0;
  bool retain = false;
  MqttProperties properties;
};

struct MqttConnect {
  MqttLevel level = MqttLevel::k5;
  bool clean = false;                // clean start (5.0), clean session (3.1.1)
  uint16_t keep_alive_s = 0;         // 0: none
  std::string_view client_id;        // may be empty
  bool has_will = false, has_user_name = false, has_password = false;
  MqttWill will;
  std::string_view user_name, password;
  MqttProperties properties;
};

struct MqttConnack {
  bool session_present = false;
  MqttReason reason = MqttReason::kSuccess;   // 3.1.1: MqttConnectReturnCode of it; decoded to the reason it stands for
  MqttProperties properties;
};

struct MqttPublish {
  std::string_view topic;            // may be empty with a topic alias
  std::string_view payload;
  uint8_t qos = 0;
  bool dup = false, retain = false;
  uint16_t packet_id = 0;            // QoS 1 and 2: not 0
  MqttProperties properties;
};

// PUBACK, PUBREC, PUBREL, PUBCOMP.
struct MqttAck {
  MqttType type = MqttType::kPuback;
  uint16_t packet_id = 0;
  MqttReason reason = MqttReason::kSuccess;   // 3.1.1 carries none
  MqttProperties properties;
};

struct MqttSubscription {
  std::string_view filter;
  uint8_t qos = 0;
  bool no_local = false, retain_as_published = false;   // 5.0
  uint8_t retain_handling = 0;                          // 5.0: 0 send, 1 only if new, 2 don't
};

struct MqttSubscribe {
  uint16_t packet_id = 0;
  std::vector<MqttSubscription> subscriptions;
  MqttProperties properties;
};

struct MqttUnsubscribe {
  uint16_t packet_id = 0;
  std::vector<std::string_view> filters;
  MqttProperties properties;
};

// SUBACK, UNSUBACK. A 3.1.1 UNSUBACK has no reasons; a 3.1.1 SUBACK has 0–2 or 0x80.
struct MqttSuback {
  MqttType type = MqttType::kSuback;
  uint16_t packet_id = 0;
  std::vector<MqttReason> reasons;
  MqttProperties properties;
};

struct MqttPing {
  MqttType type = MqttType::kPingreq;   // or kPingresp
};

struct MqttDisconnect {
  MqttReason reason = MqttReason::kSuccess;
  MqttProperties properties;
};

struct MqttAuth {
  MqttReason reason = MqttReason::kSuccess;
  MqttProperties properties;
};

// Who sent the bytes: some properties, reasons and packets are one side's only.
enum class MqttSender { kClient, kServer };

// One packet of the frame's type (another type is a fault). True, or *fault says what is wrong; *packet is then not to be used,
// but for a CONNECT's level: what the client is to be answered in. kUnknown: it did not get as far, or does not speak MQTT.
// Levels other than 5 are read as 3.1.1. A CONNECT of another level than 4 and 5 is kUnsupportedProtocolVersion, to be answered in 3.1.1 below 4 and in 5.0 above 5.
bool DecodeMqtt(const MqttFrame& frame, MqttConnect* packet, MqttFault* fault);
bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttConnack* packet, MqttFault* fault);
bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSender sender, MqttPublish* packet, MqttFault* fault);
bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttAck* packet, MqttFault* fault);
bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSubscribe* packet, MqttFault* fault);
bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttUnsubscribe* packet, MqttFault* fault);
bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSuback* packet, MqttFault* fault);
bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttPing* packet, MqttFault* fault);
bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSender sender, MqttDisconnect* packet, MqttFault* fault);
bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSender sender, MqttAuth* packet, MqttFault* fault);

using MqttPacket = std::variant<MqttConnect, MqttConnack, MqttPublish, MqttAck, MqttSubscribe, MqttUnsubscribe, MqttSuback,
                                MqttPing, MqttDisconnect, MqttAuth>;
// Any packet; also refuses a type that `sender` may not send.
bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSender sender, MqttPacket* packet, MqttFault* fault);

// Appends the packet's bytes to *out. Returns how many: 0, and nothing is appended, where it cannot be said in MQTT (a string
// over 65,535 bytes, a packet over 256 MiB). The caller answers for values: what DecodeMqtt would refuse is written as told.
// At 3.1.1 reasons and properties are left out where the packet has none.
size_t EncodeMqtt(const MqttConnect& packet, std::string* out);
size_t EncodeMqtt(const MqttConnack& packet, MqttLevel level, std::string* out);
size_t EncodeMqtt(const MqttPublish& packet, MqttLevel level, std::string* out);
size_t EncodeMqtt(const MqttAck& packet, MqttLevel level, std::string* out);
size_t EncodeMqtt(const MqttSubscribe& packet, MqttLevel level, std::string* out);
size_t EncodeMqtt(const MqttUnsubscribe& packet, MqttLevel level, std::string* out);
size_t EncodeMqtt(const MqttSuback& packet, MqttLevel level, std::string* out);
size_t EncodeMqtt(const MqttPing& packet, MqttLevel level, std::string* out);
size_t EncodeMqtt(const MqttDisconnect& packet, MqttLevel level, std::string* out);
size_t EncodeMqtt(const MqttAuth& packet, MqttLevel level, std::string* out);
size_t EncodeMqtt(const MqttPacket& packet, MqttLevel level, std::string* out);

}  // namespace sluice::transport
