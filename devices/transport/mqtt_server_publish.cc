// PUBLISH both ways and the acknowledgements (3.3 to 3.7).
#include <algorithm>
#include <utility>

#include "base/crc32c.h"
#include "base/strings.h"
#include "devices/transport/mqtt_packet_reasons.h"
#include "devices/transport/mqtt_server_connection.h"
#include "devices/transport/mqtt_topic.h"

namespace sluice::transport {
namespace {

// What tells a repetition from another publish. The zero, which no topic has, tells "a/1" = "2" from "a/" = "12".
uint32_t DigestOf(const MqttPublish& publish) {
  return ExtendCrc32c(ExtendCrc32c(Crc32c(publish.topic), std::string_view("", 1)), publish.payload);
}

}  // namespace

// False: stays in the input until there is room.
bool MqttServerConnection::OnPublish(const MqttFrame& frame, int64_t now_ms) {
  MqttFault fault;
  if (!DecodeMqtt(frame, level_, MqttSender::kClient, &publish_, &fault)) {
    Fault(fault, now_ms);
    return true;
  }
  if (level_ == MqttLevel::k5 && publish_.properties.has(MqttProperty::kTopicAlias) && !ResolveAlias(publish_, now_ms)) {
    return true;
  }
  if (publish_.qos == 0) {
    OfferAtQos0(publish_, now_ms);
    CountPublish();
    return true;
  }
  MqttInbound& inbound = session_->inbound;
  MqttSessionFigures& count = server_.count();
  const uint32_t digest = DigestOf(publish_);
  uint16_t slot = 0;
  const MqttInbound::Arrival arrival = inbound.Arrived(publish_.packet_id, publish_.qos, publish_.dup, digest, &slot);
  if (arrival == MqttInbound::Arrival::kFull) {
    ++count.quota_exceeded;
    Drop(MqttReason::kQuotaExceeded, "too many publishes without PUBREL or PUBACK", now_ms);
    return true;
  }
  if (level_ == MqttLevel::k5 && inbound.unfinished() > server_.options().receive_maximum) {
    ++count.receive_maximum_exceeded;
    if (arrival != MqttInbound::Arrival::kAgain) inbound.Withdraw(slot);   // the host does not know it
    Drop(MqttReason::kReceiveMaximumExceeded, "more publishes in flight than the receive maximum [MQTT-3.3.4-7]", now_ms);
    return true;
  }
  if (arrival == MqttInbound::Arrival::kReused) ++count.packet_ids_reused;
  MqttReason reason = MqttReason::kSuccess;
  std::string_view why;
  if (arrival == MqttInbound::Arrival::kAgain) {
    ++count.merged;
  } else if (!CheckPublish(publish_, &reason, &why)) {
    RefusePublish(slot, publish_, reason, why);
  } else if (waits()) {
    Keep(slot, publish_, now_ms);
  } else if (!Offer(slot, publish_, publish_.dup, now_ms)) {
    if (server_.waiting_bytes() + MqttKept::BytesOf(frame.size() + client_id_.size()) > server_.options().max_total_waiting_bytes) {
      inbound.Withdraw(slot);
      return false;
    }
    ++count.no_room;
    Keep(slot, publish_, now_ms);
  }
  CountPublish();
  SendAcks();
  return true;
}

// Larger than is taken. A client of 5.0 was told what is, and is disconnected. 3.1.1 cannot say either, and closing would have it
// send the same for ever: its publish is refused as others are, and the rest of it passed over (skip_left_).
// Returns how many bytes are done with; 0: its head has not come yet (input_need_), or the connection is ended.
size_t MqttServerConnection::OnLargePublish(const MqttFrame& head, std::string_view bytes, const MqttFault& fault,
                                            int64_t now_ms) {
  constexpr size_t kPayloadBytes = 1024;   // what a rejection keeps
  const size_t size = input_need_;
  MqttFrame known = head;
  known.body = bytes.substr(head.header_size);
  size_t wanted = 2;
  if (known.body.size() >= 2) {
    const size_t topic = static_cast<size_t>(static_cast<uint8_t>(known.body[0])) << 8 | static_cast<uint8_t>(known.body[1]);
    if (topic > server_.options().max_topic_bytes) {
      Fault(fault, now_ms);
      return 0;
    }
    wanted += topic + 2 + kPayloadBytes;
  }
  wanted = std::min(wanted, size - head.header_size);
  if (level_ == MqttLevel::k311 && (known.body.size() < 2 || known.body.size() < wanted)) {
    input_need_ = head.header_size + wanted;
    return 0;
  }
  known.body = known.body.substr(0, wanted);
  const std::string why = StrCat("a packet of ", size, " bytes: at most ", server_.options().max_packet_bytes, " are taken");
  MqttFault malformed;
  const bool readable = DecodeMqtt(known, level_, MqttSender::kClient, &publish_, &malformed);
  if (readable && !publish_.topic.empty()) {
    MqttPublication publication = PublicationOf(publish_, publish_.dup);
    publication.missing = size - head.header_size - wanted;
    server_.host().NotTaken(publication, MqttReason::kPacketTooLarge, why);
  }
  if (!readable || level_ == MqttLevel::k5) {
    Fault(level_ == MqttLevel::k5 ? fault : malformed, now_ms);
    return 0;
  }
  MqttSessionFigures& count = server_.count();
  ++count.publishes_refused;
  CountPublish();
  if (publish_.qos > 0) {
    MqttInbound& inbound = session_->inbound;
    const uint32_t digest = DigestOf(publish_);
    uint16_t slot = 0;
    switch (inbound.Arrived(publish_.packet_id, publish_.qos, publish_.dup, digest, &slot)) {
      case MqttInbound::Arrival::kFull:
        ++count.quota_exceeded;
        Drop(MqttReason::kQuotaExceeded, "too many publishes without PUBREL or PUBACK", now_ms);
        return 0;
      case MqttInbound::Arrival::kAgain: ++count.merged; break;
      default: inbound.Done(slot, MqttReason::kQuotaExceeded, why); break;   // of the reasons that a PUBACK may have
    }
    SendAcks();
  }
  skip_left_ = size - head.header_size - wanted;
  return head.header_size + wanted;
}

// False: the connection is ended.
bool MqttServerConnection::ResolveAlias(MqttPublish& publish, int64_t now_ms) {
  const uint32_t alias = publish.properties.number(MqttProperty::kTopicAlias, 0);
  if (alias > server_.options().topic_alias_maximum) {
    ++server_.count().topic_alias_invalid;
    Drop(MqttReason::kTopicAliasInvalid, "topic alias above the maximum [MQTT-3.3.2-9]", now_ms);
    return false;
  }
  if (aliases_.size() < alias) aliases_.resize(alias);
  std::string& topic = aliases_[alias - 1];
  if (publish.topic.empty()) {
    if (topic.empty()) {
      ++server_.count().protocol_errors;
      Drop(MqttReason::kProtocolError, "topic alias without a topic [5.0, 3.3.2.3.4]", now_ms);
      return false;
    }
    publish.topic = topic;
    return true;
  }
  if (publish.topic.size() > server_.options().max_topic_bytes) {
    ++server_.count().topic_invalid;
    Drop(MqttReason::kTopicNameInvalid, "the topic of an alias is too long", now_ms);
    return false;
  }
  topic.assign(publish.topic);
  return true;
}

bool MqttServerConnection::CheckPublish(const MqttPublish& publish, MqttReason* reason, std::string_view* why) const {
  const MqttSessionOptions& options = server_.options();
  const std::vector<std::string>& allowed = identity_->publish;
  if (std::none_of(allowed.begin(), allowed.end(), [&](const auto& filter) { return MqttMatches(filter, publish.topic); })) {
    *reason = MqttReason::kNotAuthorized;
    *why = "the topic is not this device's";
    return false;
  }
  if (publish.topic.size() > options.max_topic_bytes || CountMqttLevels(publish.topic) > options.max_topic_levels) {
    *reason = MqttReason::kTopicNameInvalid;
    *why = "the topic is too long or has too many levels";
    return false;
  }
  if (publish.properties.number(MqttProperty::kPayloadFormatIndicator, 0) == 1 && !IsUtf8(publish.payload)) {
    *reason = MqttReason::kPayloadFormatInvalid;
    *why = "the payload is not the UTF-8 it claims to be";
    return false;
  }
  return true;
}

MqttPublication MqttServerConnection::PublicationOf(const MqttPublish& publish, bool dup) const {
  return {*identity_, client_id_, id_, publish.topic, publish.payload, publish.qos, dup, publish.retain, false,
          publish.properties};
}

bool MqttServerConnection::Offer(uint16_t slot, const MqttPublish& publish, bool dup, int64_t now_ms) {
  MqttInbound& inbound = session_->inbound;
  MqttVerdict verdict = server_.host().Publish(MqttServer::TokenOf(*session_, slot), PublicationOf(publish, dup));
  MqttSessionFigures& count = server_.count();
  switch (verdict.kind) {
    case MqttVerdict::Kind::kNoRoom: return false;
    case MqttVerdict::Kind::kRefused:
      ++count.publishes_refused;
      inbound.Taken(slot);
      inbound.Done(slot, verdict.reason, verdict.text);
      return true;
    case MqttVerdict::Kind::kTaken:
      inbound.Taken(slot);
      break;
    case MqttVerdict::Kind::kSafe:
      inbound.Taken(slot);
      inbound.Done(slot, MqttReason::kSuccess, {});
      break;
  }
  ++count.publishes[publish.qos];
  server_.Spread(*session_->device, publish, nullptr, client_id_, 0, now_ms);
  return true;
}

void MqttServerConnection::OfferAtQos0(const MqttPublish& publish, int64_t now_ms) {
  MqttSessionFigures& count = server_.count();
  MqttReason reason = MqttReason::kSuccess;
  std::string_view why;
  if (!CheckPublish(publish, &reason, &why)) {
    ++count.publishes_refused;
    CountEnd(reason);
    server_.host().NotTaken(PublicationOf(publish, false), reason, why);
    return;
  }
  const MqttVerdict verdict = server_.host().Publish(0, PublicationOf(publish, false));
  if (verdict.kind == MqttVerdict::Kind::kNoRoom) {
    ++count.qos0_dropped;
  } else if (verdict.kind == MqttVerdict::Kind::kRefused) {
    ++count.publishes_refused;
  } else {
    ++count.publishes[0];
    server_.Spread(*session_->device, publish, nullptr, client_id_, 0, now_ms);
  }
}

// 5.0 tells the client. 3.1.1 cannot, and closing would have it send the same for ever: it is acknowledged (3.3.5-2).
void MqttServerConnection::RefusePublish(uint16_t slot, const MqttPublish& publish, MqttReason reason, std::string_view why) {
  ++server_.count().publishes_refused;
  CountEnd(reason);
  server_.host().NotTaken(PublicationOf(publish, publish.dup), reason, why);
  session_->inbound.Done(slot, reason, why);
}

void MqttServerConnection::Keep(uint16_t slot, const MqttPublish& publish, int64_t now_ms) {
  session_->inbound.Wait(slot);
  waiting_.push_back({slot, publish.dup, now_ms, MqttKept::Make(publish, client_id_, now_ms)});
  const size_t bytes = waiting_.back().publish->bytes();
  waiting_bytes_ += bytes;
  server_.count().waiting += 1;
  server_.count().waiting_bytes += bytes;
}

bool MqttServerConnection::OfferWaiting(int64_t now_ms) {
  if (waiting_.empty()) return false;
  const Waiting& first = waiting_.front();
  first.publish->CopyTo(&publish_, now_ms);
  if (!Offer(first.slot, publish_, first.dup, now_ms)) return false;
  const size_t bytes = first.publish->bytes();
  waiting_bytes_ -= bytes;
  server_.count().waiting -= 1;
  server_.count().waiting_bytes -= bytes;
  waiting_.pop_front();
  SendAcks();
  return true;
}

void MqttServerConnection::SendAcks() {
  while (session_->inbound.NextAck(level_ == MqttLevel::k5, &due_)) {
    if (!IsFailure(due_.reason)) ++server_.count().acknowledged;
    ack_.type = due_.type;
    ack_.packet_id = due_.packet_id;
    ack_.properties.clear();
    const bool fits = MqttReasonFits(due_.type, MqttSender::kServer, due_.reason);
    ack_.reason = fits ? due_.reason : MqttReason::kImplementationSpecificError;
    if (!due_.text.empty() && problem_information_) ack_.properties.SetText(MqttProperty::kReasonString, due_.text);
    Send(ack_);   // never too large: CONNACK did fit
  }
}

void MqttServerConnection::Answer(MqttType type, uint16_t packet_id, MqttReason reason) {
  ack_.type = type;
  ack_.packet_id = packet_id;
  ack_.reason = reason;
  ack_.properties.clear();
  Send(ack_);
}

void MqttServerConnection::OnAck(const MqttFrame& frame, int64_t now_ms) {
  MqttFault fault;
  if (!DecodeMqtt(frame, level_, &ack_, &fault)) return Fault(fault, now_ms);
  MqttSessionFigures& count = server_.count();
  const uint16_t packet_id = ack_.packet_id;
  const MqttReason reason = ack_.reason;
  MqttDelivery delivery;
  switch (ack_.type) {
    case MqttType::kPuback:
      if (session_->outbound.Acknowledged(packet_id, &delivery)) {
        server_.Ended(*session_, delivery, IsFailure(reason) ? MqttDeliveryEnd::kRefused : MqttDeliveryEnd::kAcknowledged,
                      reason);
        SendDeliveries(now_ms);
      } else {
        ++count.unknown_packet_ids;
      }
      return;
    case MqttType::kPubrel:
      switch (session_->inbound.Released(packet_id)) {
        case MqttInbound::Release::kDone: return Answer(MqttType::kPubcomp, packet_id, MqttReason::kSuccess);
        case MqttInbound::Release::kUnknown:
          ++count.unknown_packet_ids;
          return Answer(MqttType::kPubcomp, packet_id, MqttReason::kPacketIdentifierNotFound);
        case MqttInbound::Release::kTooEarly: break;
      }
      ++count.protocol_errors;
      return Drop(MqttReason::kProtocolError, "PUBREL before PUBREC", now_ms);
    case MqttType::kPubrec:
      if (session_->outbound.IsInFlight(packet_id)) {
        ++count.protocol_errors;
        return Drop(MqttReason::kProtocolError, "PUBREC for a publish at QoS 1", now_ms);
      }
      // We publish nothing at QoS 2: a remnant of another server's session. It is to come to its end.
      ++count.unknown_packet_ids;
      if (!IsFailure(reason)) Answer(MqttType::kPubrel, packet_id, MqttReason::kPacketIdentifierNotFound);
      return;
    default: ++count.unknown_packet_ids; return;
  }
}

bool MqttServerConnection::SendPublish(const MqttDelivery& delivery, uint16_t packet_id, bool dup, int64_t now_ms) {
  delivery.message->CopyTo(&outgoing_, now_ms);
  outgoing_.qos = delivery.qos;
  outgoing_.packet_id = packet_id;
  outgoing_.dup = dup;
  outgoing_.retain = delivery.retain;
  for (uint32_t identifier : delivery.subscription_identifiers) outgoing_.properties.AddSubscriptionIdentifier(identifier);
  const size_t before = output_.size();
  const size_t size = EncodeMqtt(outgoing_, level_, &output_);
  if (size == 0 || size > client_max_packet_) {
    output_.resize(before);
    return false;
  }
  ++server_.count().delivered;
  NoteOutput(before);
  return true;
}

void MqttServerConnection::SendDeliveries(int64_t now_ms) {
  if (state_ != State::kConnected) return;
  MqttOutbound& outbound = session_->outbound;
  while (output_.size() < server_.options().max_output_bytes) {
    MqttOutbound::Flight* flight = outbound.Next(client_receive_maximum_);
    if (flight == nullptr) return;
    if (!flight->sent_before && flight->delivery.message->expired(now_ms)) {
      server_.Ended(*session_, outbound.Drop(), MqttDeliveryEnd::kExpired, MqttReason::kSuccess);
    } else if (!SendPublish(flight->delivery, flight->packet_id, flight->sent_before, now_ms)) {
      server_.Ended(*session_, outbound.Drop(), MqttDeliveryEnd::kTooLarge, MqttReason::kSuccess);
    } else {
      outbound.Sent(*flight);
    }
  }
}

MqttServerConnection::SentNow MqttServerConnection::SendNow(const MqttDelivery& delivery, int64_t now_ms) {
  if (state_ != State::kConnected || output_.size() >= server_.options().max_output_bytes) return SentNow::kNoRoom;
  return SendPublish(delivery, 0, false, now_ms) ? SentNow::kSent : SentNow::kTooLarge;
}

}  // namespace sluice::transport
