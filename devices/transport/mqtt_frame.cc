#include "devices/transport/mqtt_frame.h"

#include <algorithm>

#include "devices/transport/mqtt_rule.h"

namespace sluice::transport {
namespace {

const MqttRule* CheckFlags(MqttType type, uint8_t flags) {
  switch (type) {
    case MqttType::kPublish:
      if ((flags & 0x06) == 0x06) return &mqtt_rule::kQos3;
      return (flags & 0x08) != 0 && (flags & 0x06) == 0 ? &mqtt_rule::kDupAtQos0 : nullptr;
    case MqttType::kPubrel: return flags == 2 ? nullptr : &mqtt_rule::kPubrelFlags;
    case MqttType::kSubscribe: return flags == 2 ? nullptr : &mqtt_rule::kSubscribeFlags;
    case MqttType::kUnsubscribe: return flags == 2 ? nullptr : &mqtt_rule::kUnsubscribeFlags;
    case MqttType::kDisconnect: return flags == 0 ? nullptr : &mqtt_rule::kDisconnectFlags;
    case MqttType::kAuth: return flags == 0 ? nullptr : &mqtt_rule::kAuthFlags;
    default: return flags == 0 ? nullptr : &mqtt_rule::kFlags;
  }
}

}  // namespace

const char* MqttTypeName(MqttType type) {
  static constexpr const char* kNames[] = {"no packet", "CONNECT",   "CONNACK", "PUBLISH",     "PUBACK",   "PUBREC",
                                           "PUBREL",    "PUBCOMP",   "SUBSCRIBE", "SUBACK",    "UNSUBSCRIBE", "UNSUBACK",
                                           "PINGREQ",   "PINGRESP",  "DISCONNECT", "AUTH"};
  return kNames[static_cast<uint8_t>(type) & 15];
}

MqttFraming FindMqttFrame(std::string_view bytes, MqttLevel level, size_t max_packet, MqttFrame* frame, size_t* need,
                          MqttFault* fault) {
  if (bytes.empty()) {
    *need = 2;
    return MqttFraming::kMore;
  }
  const auto first = static_cast<uint8_t>(bytes[0]);
  const auto type = static_cast<MqttType>(first >> 4);
  const auto fail = [&](const MqttRule& rule, const char* field, size_t offset) {
    *fault = Broken(rule, level, MqttTypeName(type), field, offset);
    return MqttFraming::kFault;
  };
  if (first >> 4 == 0) return fail(mqtt_rule::kNoSuchType, "packet type", 0);
  if (type == MqttType::kAuth && level == MqttLevel::k311) return fail(mqtt_rule::kAuthUnknown, "packet type", 0);
  if (const MqttRule* rule = CheckFlags(type, first & 15)) return fail(*rule, "flags", 0);

  size_t remaining = 0, header = 1;
  for (unsigned shift = 0;; shift += 7) {
    if (header >= bytes.size()) {
      *need = bytes.size() + 1;
      return MqttFraming::kMore;
    }
    const auto byte = static_cast<uint8_t>(bytes[header++]);
    remaining |= static_cast<size_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) {
      frame->shortest = byte != 0 || shift == 0;
      break;
    }
    if (shift == 21) return fail(mqtt_rule::kLengthTooLong, "remaining length", 1);
  }
  if (!frame->shortest && level == MqttLevel::k5) return fail(mqtt_rule::kLengthNotShortest, "remaining length", 1);
  frame->type = type;
  frame->flags = first & 15;
  frame->header_size = header;
  if (header + remaining > max_packet) {
    *need = header + remaining;
    return fail(mqtt_rule::kTooLarge, "remaining length", 1);
  }
  if (bytes.size() < header + remaining) {
    *need = header + remaining;
    return MqttFraming::kMore;
  }
  frame->body = bytes.substr(header, remaining);
  return MqttFraming::kWhole;
}

}  // namespace sluice::transport
