// All packets but CONNECT and CONNACK.
#include "devices/transport/mqtt_packet.h"

#include "devices/transport/mqtt_packet_reasons.h"
#include "devices/transport/mqtt_property_codec.h"
#include "devices/transport/mqtt_reader.h"
#include "devices/transport/mqtt_topic.h"
#include "devices/transport/mqtt_writer.h"

namespace sluice::transport {
namespace {

bool WrongType(MqttReader& reader) { return reader.Fail(mqtt_rule::kNotFromHere, "packet type", 0); }

const MqttRule& ReasonRule(MqttType type) {
  switch (type) {
    case MqttType::kPuback: return mqtt_rule::kPubackReason;
    case MqttType::kPubrec: return mqtt_rule::kPubrecReason;
    case MqttType::kPubrel: return mqtt_rule::kPubrelReason;
    case MqttType::kPubcomp: return mqtt_rule::kPubcompReason;
    case MqttType::kSuback: return mqtt_rule::kSubackReason;
    case MqttType::kUnsuback: return mqtt_rule::kUnsubackReason;
    case MqttType::kAuth: return mqtt_rule::kAuthReason;
    default: return mqtt_rule::kDisconnectReason;
  }
}

bool ReadReason(MqttReader& reader, MqttType type, MqttSender sender, MqttReason* reason) {
  const size_t begin = reader.offset();
  uint8_t code = 0;
  if (!reader.Byte("reason code", &code)) return false;
  *reason = static_cast<MqttReason>(code);
  return MqttReasonFits(type, sender, *reason) || reader.Fail(ReasonRule(type), "reason code", begin);
}

// The end of PUBACK … PUBCOMP, DISCONNECT and AUTH: nothing, a reason, or a reason and properties (5.0, 3.4.2.1).
bool ReadReasonAndProperties(MqttReader& reader, MqttType type, MqttSender sender, MqttCarrier carrier, MqttReason* reason,
                             MqttProperties* properties) {
  *reason = MqttReason::kSuccess;
  properties->clear();
  if (reader.level() == MqttLevel::k5 && reader.left() > 0) {
    if (!ReadReason(reader, type, sender, reason)) return false;
    if (reader.left() > 0 && !ReadMqttProperties(reader, carrier, properties)) return false;
  }
  return reader.AtEnd();
}

void WriteReasonAndProperties(MqttReason reason, const MqttProperties& properties, MqttLevel level, MqttWriter& writer) {
  if (level != MqttLevel::k5 || (reason == MqttReason::kSuccess && properties.empty())) return;
  writer.Byte(static_cast<uint8_t>(reason));
  if (!properties.empty()) WriteMqttProperties(properties, writer);
}

bool ReadFilter(MqttReader& reader, const MqttRule& not_utf8, std::string_view* filter) {
  const size_t begin = reader.offset();
  if (!reader.Text("topic filter", filter, not_utf8)) return false;
  const auto fail = [&](const MqttRule& rule) { return reader.Fail(rule, "topic filter", begin); };
  switch (CheckMqttFilter(*filter, reader.level() == MqttLevel::k5)) {
    case MqttFilterFault::kNone: return true;
    case MqttFilterFault::kEmpty: return fail(mqtt_rule::kTopicEmpty);
    case MqttFilterFault::kHash: return fail(mqtt_rule::kFilterHash);
    case MqttFilterFault::kPlus: return fail(mqtt_rule::kFilterPlus);
    case MqttFilterFault::kShareName: return fail(mqtt_rule::kShareName);
    case MqttFilterFault::kShareFilter: break;
  }
  return fail(mqtt_rule::kShareFilter);
}

bool ReadOptions(MqttReader& reader, MqttSubscription* subscription) {
  const size_t begin = reader.offset();
  uint8_t options = 0;
  if (!reader.Byte("subscription options", &options)) return false;
  const auto fail = [&](const MqttRule& rule) { return reader.Fail(rule, "subscription options", begin); };
  const bool v5 = reader.level() == MqttLevel::k5;
  if ((options & (v5 ? 0xC0 : 0xFC)) != 0) return fail(mqtt_rule::kSubscribeReserved);
  subscription->qos = options & 3;
  subscription->no_local = (options & 0x04) != 0;
  subscription->retain_as_published = (options & 0x08) != 0;
  subscription->retain_handling = (options >> 4) & 3;
  if (subscription->qos == 3) return fail(mqtt_rule::kSubscribeQos3);
  if (subscription->retain_handling == 3) return fail(mqtt_rule::kRetainHandling3);
  if (subscription->no_local && IsMqttShared(subscription->filter)) return fail(mqtt_rule::kNoLocalShared);
  return true;
}

template <typename Packet>
bool DecodeInto(const MqttFrame& frame, MqttLevel level, MqttPacket* packet, MqttFault* fault) {
  if (!std::holds_alternative<Packet>(*packet)) packet->emplace<Packet>();
  return DecodeMqtt(frame, level, &std::get<Packet>(*packet), fault);
}
template <typename Packet>
bool DecodeInto(const MqttFrame& frame, MqttLevel level, MqttSender sender, MqttPacket* packet, MqttFault* fault) {
  if (!std::holds_alternative<Packet>(*packet)) packet->emplace<Packet>();
  return DecodeMqtt(frame, level, sender, &std::get<Packet>(*packet), fault);
}

bool MaySend(MqttType type, MqttSender sender) {
  switch (type) {
    case MqttType::kConnect:
    case MqttType::kSubscribe:
    case MqttType::kUnsubscribe:
    case MqttType::kPingreq: return sender == MqttSender::kClient;
    case MqttType::kConnack:
    case MqttType::kSuback:
    case MqttType::kUnsuback:
    case MqttType::kPingresp: return sender == MqttSender::kServer;
    default: return true;
  }
}

}  // namespace

bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSender sender, MqttPublish* packet, MqttFault* fault) {
  MqttReader reader(frame, level, fault);
  packet->properties.clear();
  if (frame.type != MqttType::kPublish) return WrongType(reader);
  packet->dup = (frame.flags & 0x08) != 0;
  packet->qos = (frame.flags >> 1) & 3;
  packet->retain = (frame.flags & 0x01) != 0;
  packet->packet_id = 0;
  const size_t begin = reader.offset();
  if (!reader.Text("topic name", &packet->topic, mqtt_rule::kPublishTopicNotUtf8)) return false;
  if (HasMqttWildcard(packet->topic)) return reader.Fail(mqtt_rule::kTopicWildcard, "topic name", begin);
  if (packet->qos > 0 && !reader.PacketId(&packet->packet_id, mqtt_rule::kPacketIdZero)) return false;
  if (level == MqttLevel::k5) {
    const MqttCarrier carrier = sender == MqttSender::kClient ? kInPublishOfClient : kInPublishOfServer;
    if (!ReadMqttProperties(reader, carrier, &packet->properties)) return false;
  }
  if (packet->topic.empty() && !packet->properties.has(MqttProperty::kTopicAlias)) {
    return reader.Fail(level == MqttLevel::k5 ? mqtt_rule::kTopicAndAliasEmpty : mqtt_rule::kTopicEmpty, "topic name", begin);
  }
  packet->payload = reader.Rest();
  return true;
}

bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttAck* packet, MqttFault* fault) {
  MqttReader reader(frame, level, fault);
  if (frame.type < MqttType::kPuback || frame.type > MqttType::kPubcomp) return WrongType(reader);
  packet->type = frame.type;
  return reader.PacketId(&packet->packet_id, mqtt_rule::kAckIdZero) &&
         ReadReasonAndProperties(reader, frame.type, MqttSender::kClient, kInAck, &packet->reason, &packet->properties);
}

bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSubscribe* packet, MqttFault* fault) {
  MqttReader reader(frame, level, fault);
  packet->properties.clear();
  packet->subscriptions.clear();
  if (frame.type != MqttType::kSubscribe) return WrongType(reader);
  if (!reader.PacketId(&packet->packet_id, mqtt_rule::kPacketIdZero)) return false;
  if (level == MqttLevel::k5 && !ReadMqttProperties(reader, kInSubscribe, &packet->properties)) return false;
  if (reader.left() == 0) return reader.Fail(mqtt_rule::kSubscribeEmpty, "payload");
  while (reader.left() > 0) {
    MqttSubscription& subscription = packet->subscriptions.emplace_back();
    if (!ReadFilter(reader, mqtt_rule::kSubscribeNotUtf8, &subscription.filter)) return false;
    if (!ReadOptions(reader, &subscription)) return false;
  }
  return true;
}

bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttUnsubscribe* packet, MqttFault* fault) {
  MqttReader reader(frame, level, fault);
  packet->properties.clear();
  packet->filters.clear();
  if (frame.type != MqttType::kUnsubscribe) return WrongType(reader);
  if (!reader.PacketId(&packet->packet_id, mqtt_rule::kPacketIdZero)) return false;
  if (level == MqttLevel::k5 && !ReadMqttProperties(reader, kInUnsubscribe, &packet->properties)) return false;
  if (reader.left() == 0) return reader.Fail(mqtt_rule::kUnsubscribeEmpty, "payload");
  while (reader.left() > 0) {
    if (!ReadFilter(reader, mqtt_rule::kUnsubscribeNotUtf8, &packet->filters.emplace_back())) return false;
  }
  return true;
}

bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSuback* packet, MqttFault* fault) {
  MqttReader reader(frame, level, fault);
  packet->properties.clear();
  packet->reasons.clear();
  if (frame.type != MqttType::kSuback && frame.type != MqttType::kUnsuback) return WrongType(reader);
  packet->type = frame.type;
  if (!reader.PacketId(&packet->packet_id, mqtt_rule::kSubackIdZero)) return false;
  if (level == MqttLevel::k5 && !ReadMqttProperties(reader, kInSuback, &packet->properties)) return false;
  if (level != MqttLevel::k5 && frame.type == MqttType::kUnsuback) return reader.AtEnd();
  if (reader.left() == 0) return reader.Fail(mqtt_rule::kTooShort, "payload");
  while (reader.left() > 0) {
    const size_t begin = reader.offset();
    if (!ReadReason(reader, frame.type, MqttSender::kServer, &packet->reasons.emplace_back())) return false;
    const MqttReason reason = packet->reasons.back();
    if (level != MqttLevel::k5 && IsFailure(reason) && reason != MqttReason::kUnspecifiedError) {
      return reader.Fail(mqtt_rule::kSubackReason, "return code", begin);
    }
  }
  return true;
}

bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttPing* packet, MqttFault* fault) {
  MqttReader reader(frame, level, fault);
  if (frame.type != MqttType::kPingreq && frame.type != MqttType::kPingresp) return WrongType(reader);
  packet->type = frame.type;
  return reader.AtEnd();
}

bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSender sender, MqttDisconnect* packet, MqttFault* fault) {
  MqttReader reader(frame, level, fault);
  if (frame.type != MqttType::kDisconnect) return WrongType(reader);
  if (level != MqttLevel::k5 && sender == MqttSender::kServer) {
    return reader.Fail(mqtt_rule::kDisconnectSender, "packet type", 0);
  }
  const MqttCarrier carrier = sender == MqttSender::kClient ? kInDisconnectOfClient : kInDisconnectOfServer;
  return ReadReasonAndProperties(reader, frame.type, sender, carrier, &packet->reason, &packet->properties);
}

bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSender sender, MqttAuth* packet, MqttFault* fault) {
  MqttReader reader(frame, level, fault);
  if (frame.type != MqttType::kAuth) return WrongType(reader);
  if (level != MqttLevel::k5) return reader.Fail(mqtt_rule::kAuthUnknown, "packet type", 0);
  const bool bare = reader.left() == 0;   // success without properties may be left out (3.15.2.1)
  if (!ReadReasonAndProperties(reader, frame.type, sender, kInAuth, &packet->reason, &packet->properties)) return false;
  if (bare && sender == MqttSender::kClient) return reader.Fail(mqtt_rule::kAuthReason, "reason code");
  return bare || packet->properties.has(MqttProperty::kAuthenticationMethod) ||
         reader.Fail(mqtt_rule::kMethodMissing, "authentication method");
}

bool DecodeMqtt(const MqttFrame& frame, MqttLevel level, MqttSender sender, MqttPacket* packet, MqttFault* fault) {
  if (!MaySend(frame.type, sender)) {
    *fault = Broken(mqtt_rule::kNotFromHere, level, MqttTypeName(frame.type), "packet type", 0);
    return false;
  }
  switch (frame.type) {
    case MqttType::kConnect:
      if (!std::holds_alternative<MqttConnect>(*packet)) packet->emplace<MqttConnect>();
      return DecodeMqtt(frame, &std::get<MqttConnect>(*packet), fault);
    case MqttType::kConnack: return DecodeInto<MqttConnack>(frame, level, packet, fault);
    case MqttType::kPublish: return DecodeInto<MqttPublish>(frame, level, sender, packet, fault);
    case MqttType::kPuback:
    case MqttType::kPubrec:
    case MqttType::kPubrel:
    case MqttType::kPubcomp: return DecodeInto<MqttAck>(frame, level, packet, fault);
    case MqttType::kSubscribe: return DecodeInto<MqttSubscribe>(frame, level, packet, fault);
    case MqttType::kSuback:
    case MqttType::kUnsuback: return DecodeInto<MqttSuback>(frame, level, packet, fault);
    case MqttType::kUnsubscribe: return DecodeInto<MqttUnsubscribe>(frame, level, packet, fault);
    case MqttType::kPingreq:
    case MqttType::kPingresp: return DecodeInto<MqttPing>(frame, level, packet, fault);
    case MqttType::kDisconnect: return DecodeInto<MqttDisconnect>(frame, level, sender, packet, fault);
    case MqttType::kAuth: break;
  }
  return DecodeInto<MqttAuth>(frame, level, sender, packet, fault);
}

size_t EncodeMqtt(const MqttPublish& packet, MqttLevel level, std::string* out) {
  MqttWriter writer(MqttType::kPublish,
                    static_cast<uint8_t>((packet.dup ? 8 : 0) | packet.qos << 1 | (packet.retain ? 1 : 0)), out);
  writer.Binary(packet.topic);
  if (packet.qos > 0) writer.Two(packet.packet_id);
  if (level == MqttLevel::k5) WriteMqttProperties(packet.properties, writer);
  writer.Raw(packet.payload);
  return writer.Finish();
}

size_t EncodeMqtt(const MqttAck& packet, MqttLevel level, std::string* out) {
  MqttWriter writer(packet.type, packet.type == MqttType::kPubrel ? 2 : 0, out);
  writer.Two(packet.packet_id);
  WriteReasonAndProperties(packet.reason, packet.properties, level, writer);
  return writer.Finish();
}

size_t EncodeMqtt(const MqttSubscribe& packet, MqttLevel level, std::string* out) {
  MqttWriter writer(MqttType::kSubscribe, 2, out);
  writer.Two(packet.packet_id);
  if (level == MqttLevel::k5) WriteMqttProperties(packet.properties, writer);
  for (const MqttSubscription& subscription : packet.subscriptions) {
    writer.Binary(subscription.filter);
    writer.Byte(level != MqttLevel::k5
                    ? subscription.qos
                    : static_cast<uint8_t>(subscription.qos | (subscription.no_local ? 4 : 0) |
                                           (subscription.retain_as_published ? 8 : 0) | subscription.retain_handling << 4));
  }
  return writer.Finish();
}

size_t EncodeMqtt(const MqttUnsubscribe& packet, MqttLevel level, std::string* out) {
  MqttWriter writer(MqttType::kUnsubscribe, 2, out);
  writer.Two(packet.packet_id);
  if (level == MqttLevel::k5) WriteMqttProperties(packet.properties, writer);
  for (std::string_view filter : packet.filters) writer.Binary(filter);
  return writer.Finish();
}

size_t EncodeMqtt(const MqttSuback& packet, MqttLevel level, std::string* out) {
  MqttWriter writer(packet.type, 0, out);
  writer.Two(packet.packet_id);
  if (level == MqttLevel::k5) WriteMqttProperties(packet.properties, writer);
  if (level == MqttLevel::k5 || packet.type == MqttType::kSuback) {
    for (MqttReason reason : packet.reasons) {
      writer.Byte(level != MqttLevel::k5 && IsFailure(reason) ? 0x80 : static_cast<uint8_t>(reason));
    }
  }
  return writer.Finish();
}

size_t EncodeMqtt(const MqttPing& packet, MqttLevel, std::string* out) { return MqttWriter(packet.type, 0, out).Finish(); }

size_t EncodeMqtt(const MqttDisconnect& packet, MqttLevel level, std::string* out) {
  MqttWriter writer(MqttType::kDisconnect, 0, out);
  WriteReasonAndProperties(packet.reason, packet.properties, level, writer);
  return writer.Finish();
}

size_t EncodeMqtt(const MqttAuth& packet, MqttLevel level, std::string* out) {
  MqttWriter writer(MqttType::kAuth, 0, out);
  WriteReasonAndProperties(packet.reason, packet.properties, level, writer);
  return writer.Finish();
}

size_t EncodeMqtt(const MqttPacket& packet, MqttLevel level, std::string* out) {
  return std::visit(
      [&](const auto& one) {
        if constexpr (std::is_same_v<std::decay_t<decltype(one)>, MqttConnect>) {
          return EncodeMqtt(one, out);
        } else {
          return EncodeMqtt(one, level, out);
        }
      },
      packet);
}

}  // namespace sluice::transport
