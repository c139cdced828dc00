// CONNECT and CONNACK (3.1, 3.2).
#include "devices/transport/mqtt_packet.h"
#include "devices/transport/mqtt_packet_reasons.h"
#include "devices/transport/mqtt_property_codec.h"
#include "devices/transport/mqtt_reader.h"
#include "devices/transport/mqtt_topic.h"
#include "devices/transport/mqtt_writer.h"

namespace sluice::transport {
namespace {

constexpr uint8_t kReserved = 0x01, kClean = 0x02, kWill = 0x04, kWillRetain = 0x20, kPassword = 0x40, kUserName = 0x80;

bool ReadProtocol(MqttReader& reader, MqttConnect* packet) {
  const size_t begin = reader.offset();
  std::string_view name;
  if (!reader.Text("protocol name", &name)) return false;
  const bool ours = name == "MQTT";
  if (!ours && name != "MQIsdp") return reader.Fail(mqtt_rule::kProtocolName, "protocol name", begin);
  const size_t level_at = reader.offset();
  uint8_t level = 0;
  if (!reader.Byte("protocol level", &level)) return false;
  // A bridge of Mosquitto tells by the highest bit that it is one, at 3.1 and 3.1.1 only; refused in its own tongue it tries again
  // without.
  packet->level = ours && (level & 0x7f) >= 5 ? MqttLevel::k5 : MqttLevel::k311;
  reader.set_level(packet->level);
  if (!ours) return reader.Fail(mqtt_rule::kProtocolName, "protocol name", begin);
  return level == 4 || level == 5 || reader.Fail(mqtt_rule::kProtocolLevel, "protocol level", level_at);
}

bool ReadFlags(MqttReader& reader, MqttConnect* packet) {
  const size_t begin = reader.offset();
  uint8_t flags = 0;
  if (!reader.Byte("connect flags", &flags)) return false;
  const auto fail = [&](const MqttRule& rule) { return reader.Fail(rule, "connect flags", begin); };
  if ((flags & kReserved) != 0) return fail(mqtt_rule::kConnectReserved);
  packet->clean = (flags & kClean) != 0;
  packet->has_will = (flags & kWill) != 0;
  packet->will.qos = (flags >> 3) & 3;
  packet->will.retain = (flags & kWillRetain) != 0;
  packet->has_password = (flags & kPassword) != 0;
  packet->has_user_name = (flags & kUserName) != 0;
  if (packet->will.qos == 3) return fail(mqtt_rule::kWillQos3);
  if (!packet->has_will && packet->will.qos != 0) return fail(mqtt_rule::kWillQosWithoutWill);
  if (!packet->has_will && packet->will.retain) return fail(mqtt_rule::kWillRetainWithoutWill);
  if (packet->level == MqttLevel::k311 && packet->has_password && !packet->has_user_name) {
    return fail(mqtt_rule::kPasswordWithoutName);
  }
  return true;
}

bool ReadWill(MqttReader& reader, MqttWill* will) {
  if (reader.level() == MqttLevel::k5 && !ReadMqttProperties(reader, kInWill, &will->properties)) return false;
  const size_t begin = reader.offset();
  if (!reader.Text("will topic", &will->topic, mqtt_rule::kWillTopicNotUtf8, mqtt_rule::kWillMissing)) return false;
  if (will->topic.empty()) return reader.Fail(mqtt_rule::kTopicEmpty, "will topic", begin);
  if (HasMqttWildcard(will->topic)) return reader.Fail(mqtt_rule::kWillWildcard, "will topic", begin);
  return reader.Binary("will payload", &will->payload, mqtt_rule::kWillMissing);
}

MqttReason ReasonOfReturnCode(uint8_t code) {
  switch (code) {
    case 0: return MqttReason::kSuccess;
    case 1: return MqttReason::kUnsupportedProtocolVersion;
    case 2: return MqttReason::kClientIdentifierNotValid;
    case 3: return MqttReason::kServerUnavailable;
    case 4: return MqttReason::kBadUserNameOrPassword;
    default: return MqttReason::kNotAuthorized;
  }
}

}  // namespace

bool DecodeMqtt(const MqttFrame& frame, MqttConnect* packet, MqttFault* fault) {
  MqttReader reader(frame, MqttLevel::kUnknown, fault);
  packet->level = MqttLevel::kUnknown;
  packet->properties.clear();
  packet->will.properties.clear();
  packet->will.topic = packet->will.payload = packet->user_name = packet->password = {};
  if (frame.type != MqttType::kConnect) return reader.Fail(mqtt_rule::kNotFromHere, "packet type", 0);
  if (!ReadProtocol(reader, packet)) return false;
  const bool v5 = packet->level == MqttLevel::k5;
  if (v5 && !frame.shortest) return reader.Fail(mqtt_rule::kLengthNotShortest, "remaining length", 1);
  if (!ReadFlags(reader, packet)) return false;
  if (!reader.Two("keep alive", &packet->keep_alive_s)) return false;
  if (v5 && !ReadMqttProperties(reader, kInConnect, &packet->properties)) return false;
  if (!reader.Text("client identifier", &packet->client_id, mqtt_rule::kClientIdNotUtf8, mqtt_rule::kClientIdMissing)) {
    return false;
  }
  if (packet->has_will && !ReadWill(reader, &packet->will)) return false;
  if (packet->has_user_name && !reader.Text("user name", &packet->user_name, mqtt_rule::kUserNameNotUtf8,
                                            mqtt_rule::kUserNameMissing)) {
    return false;
  }
  if (packet->has_password && !reader.Binary("password", &packet->password, mqtt_rule::kPasswordMissing)) return false;
  return reader.AtEnd(mqtt_rule::kConnectTrailing);
}

bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttConnack* packet, MqttFault* fault) {
  MqttReader reader(frame, level, fault);
  packet->properties.clear();
  if (frame.type != MqttType::kConnack) return reader.Fail(mqtt_rule::kNotFromHere, "packet type", 0);
  const size_t begin = reader.offset();
  uint8_t flags = 0, code = 0;
  if (!reader.Byte("acknowledge flags", &flags)) return false;
  if ((flags & 0xFE) != 0) return reader.Fail(mqtt_rule::kConnackFlags, "acknowledge flags", begin);
  if (!reader.Byte("reason code", &code)) return false;
  packet->session_present = flags != 0;
  if (level == MqttLevel::k5) {
    packet->reason = static_cast<MqttReason>(code);
    if (!MqttReasonFits(frame.type, MqttSender::kServer, packet->reason)) {
      return reader.Fail(mqtt_rule::kConnackReason, "reason code", begin + 1);
    }
  } else {
    if (code > 5) return reader.Fail(mqtt_rule::kConnackReason, "return code", begin + 1);
    packet->reason = ReasonOfReturnCode(code);
  }
  if (flags != 0 && code != 0) return reader.Fail(mqtt_rule::kConnackPresent, "session present", begin);
  if (level == MqttLevel::k5 && !ReadMqttProperties(reader, kInConnack, &packet->properties)) return false;
  return reader.AtEnd();
}

size_t EncodeMqtt(const MqttConnect& packet, std::string* out) {
  MqttWriter writer(MqttType::kConnect, 0, out);
  writer.Binary("MQTT");
  writer.Byte(static_cast<uint8_t>(packet.level));
  writer.Byte(static_cast<uint8_t>((packet.clean ? kClean : 0) | (packet.has_will ? kWill : 0) |
                                   (packet.has_will ? packet.will.qos << 3 : 0) |
                                   (packet.has_will && packet.will.retain ? kWillRetain : 0) |
                                   (packet.has_password ? kPassword : 0) | (packet.has_user_name ? kUserName : 0)));
  writer.Two(packet.keep_alive_s);
  if (packet.level == MqttLevel::k5) WriteMqttProperties(packet.properties, writer);
  writer.Binary(packet.client_id);
  if (packet.has_will) {
    if (packet.level == MqttLevel::k5) WriteMqttProperties(packet.will.properties, writer);
    writer.Binary(packet.will.topic);
    writer.Binary(packet.will.payload);
  }
  if (packet.has_user_name) writer.Binary(packet.user_name);
  if (packet.has_password) writer.Binary(packet.password);
  return writer.Finish();
}

size_t EncodeMqtt(const MqttConnack& packet, MqttLevel level, std::string* out) {
  MqttWriter writer(MqttType::kConnack, 0, out);
  writer.Byte(packet.session_present ? 1 : 0);
  writer.Byte(level == MqttLevel::k5 ? static_cast<uint8_t>(packet.reason) : MqttConnectReturnCode(packet.reason));
  if (level == MqttLevel::k5) WriteMqttProperties(packet.properties, writer);
  return writer.Finish();
}

}  // namespace sluice::transport
