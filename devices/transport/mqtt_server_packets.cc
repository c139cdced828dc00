// SUBSCRIBE, UNSUBSCRIBE and DISCONNECT (3.8 to 3.11, 3.14).
#include <algorithm>
#include <utility>

#include "devices/transport/mqtt_server_connection.h"
#include "devices/transport/mqtt_topic.h"

namespace sluice::transport {

void MqttServerConnection::OnSubscribe(const MqttFrame& frame, int64_t now_ms) {
  MqttFault fault;
  MqttSubscribe subscribe;
  if (!DecodeMqtt(frame, level_, &subscribe, &fault)) return Fault(fault, now_ms);
  const uint32_t identifier = subscribe.properties.number(MqttProperty::kSubscriptionIdentifier, 0);
  MqttSuback suback;
  suback.type = MqttType::kSuback;
  suback.packet_id = subscribe.packet_id;
  std::vector<size_t> with_retained;   // of subscribe.subscriptions
  for (size_t i = 0; i < subscribe.subscriptions.size(); ++i) {
    const MqttSubscription& asked = subscribe.subscriptions[i];
    const bool existed = session_->subscriptions.has(asked.filter);
    const MqttReason reason = Subscribe(asked, identifier);
    suback.reasons.push_back(reason);
    if (IsFailure(reason)) {
      ++server_.count().subscriptions_refused;
    } else if (asked.retain_handling == 0 || (asked.retain_handling == 1 && !existed)) {
      with_retained.push_back(i);
    }
  }
  if (!Send(suback)) {
    ++server_.count().packet_too_large;
    return Drop(MqttReason::kPacketTooLarge, "SUBACK exceeds the client's maximum packet size", now_ms);
  }
  for (size_t i : with_retained) SendRetained(subscribe.subscriptions[i], identifier, now_ms);
}

bool MqttServerConnection::MaySubscribe(std::string_view filter) const {
  const std::vector<std::string>& allowed = identity_->subscribe;
  return std::any_of(allowed.begin(), allowed.end(), [&](const auto& outer) { return MqttCovers(outer, filter); });
}

void MqttServerConnection::EndForbiddenSubscriptions() {
  session_->subscriptions.RemoveIf([this](std::string_view filter) { return !MaySubscribe(filter); });
}

MqttReason MqttServerConnection::Subscribe(const MqttSubscription& asked, uint32_t identifier) {
  const MqttSessionOptions& options = server_.options();
  if (level_ == MqttLevel::k5 && IsMqttShared(asked.filter)) return MqttReason::kSharedSubscriptionsNotSupported;
  if (asked.filter.size() > options.max_filter_bytes || CountMqttLevels(asked.filter) > options.max_topic_levels) {
    return MqttReason::kTopicFilterInvalid;
  }
  if (!MaySubscribe(asked.filter)) return MqttReason::kNotAuthorized;
  MqttSubscriptions& subscriptions = session_->subscriptions;
  if (subscriptions.size() >= options.max_subscriptions && !subscriptions.has(asked.filter)) {
    return MqttReason::kQuotaExceeded;
  }
  const uint8_t granted = std::min<uint8_t>(asked.qos, 1);   // nothing is delivered at QoS 2
  subscriptions.Set({std::string(asked.filter), granted, asked.no_local, asked.retain_as_published, identifier});
  return static_cast<MqttReason>(granted);
}

void MqttServerConnection::SendRetained(const MqttSubscription& asked, uint32_t identifier, int64_t now_ms) {
  const uint8_t granted = std::min<uint8_t>(asked.qos, 1);
  for (const auto& message : server_.RetainedOf(*session_->device, asked.filter, now_ms)) {
    if (asked.no_local && message->publisher() == client_id_) continue;   // 3.8.3-3
    MqttDelivery delivery;
    delivery.message = message;
    delivery.qos = std::min(message->publish().qos, granted);
    delivery.retain = true;
    if (identifier != 0) delivery.subscription_identifiers.push_back(identifier);
    server_.Enqueue(*session_, std::move(delivery), now_ms);
  }
}

void MqttServerConnection::OnUnsubscribe(const MqttFrame& frame, int64_t now_ms) {
  MqttFault fault;
  MqttUnsubscribe unsubscribe;
  if (!DecodeMqtt(frame, level_, &unsubscribe, &fault)) return Fault(fault, now_ms);
  MqttSuback unsuback;
  unsuback.type = MqttType::kUnsuback;
  unsuback.packet_id = unsubscribe.packet_id;
  for (std::string_view filter : unsubscribe.filters) {
    unsuback.reasons.push_back(session_->subscriptions.Remove(filter) ? MqttReason::kSuccess
                                                                       : MqttReason::kNoSubscriptionExisted);
  }
  if (Send(unsuback)) return;
  ++server_.count().packet_too_large;
  Drop(MqttReason::kPacketTooLarge, "UNSUBACK exceeds the client's maximum packet size", now_ms);
}

void MqttServerConnection::OnDisconnect(const MqttFrame& frame, int64_t now_ms) {
  MqttFault fault;
  MqttDisconnect disconnect;
  if (!DecodeMqtt(frame, level_, MqttSender::kClient, &disconnect, &fault)) return Fault(fault, now_ms);
  if (disconnect.properties.has(MqttProperty::kSessionExpiryInterval)) {
    const uint32_t asked_s = disconnect.properties.number(MqttProperty::kSessionExpiryInterval, 0);
    if (asked_s != 0 && !may_expire_) {
      ++server_.count().protocol_errors;
      return Drop(MqttReason::kProtocolError, "a session that ends with its connection cannot be prolonged [5.0, 3.14.2.2.2]",
                  now_ms);
    }
    session_->expiry_s = std::min(asked_s, server_.options().max_session_expiry_s);
  }
  const std::string_view text = disconnect.properties.text(MqttProperty::kReasonString);
  End(disconnect.reason, text.empty() ? "the client disconnected" : text, disconnect.reason != MqttReason::kSuccess, now_ms);
}

}  // namespace sluice::transport
