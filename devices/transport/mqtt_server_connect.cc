// CONNECT and CONNACK: what a client must bring, and what it is offered (3.1, 3.2).
#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "devices/transport/mqtt_server_connection.h"
#include "devices/transport/mqtt_topic.h"

namespace sluice::transport {
namespace {

using P = MqttProperty;

bool Allows(const std::vector<std::string>& filters, std::string_view topic) {
  return std::any_of(filters.begin(), filters.end(), [&](const std::string& filter) { return MqttMatches(filter, topic); });
}

}  // namespace

void MqttServerConnection::OnConnect(const MqttFrame& frame, int64_t now_ms) {
  connect_bytes_.assign(frame.body.data() - frame.header_size, frame.size());
  MqttFrame kept = frame;
  kept.body = std::string_view(connect_bytes_).substr(frame.header_size);
  MqttFault fault;
  const bool good = DecodeMqtt(kept, connect_.get(), &fault);
  level_ = connect_->level;
  client_max_packet_ = connect_->properties.number(P::kMaximumPacketSize, kMqttMaxPacket);
  if (!good) return Fault(fault, now_ms);
  client_receive_maximum_ = static_cast<uint16_t>(connect_->properties.number(P::kReceiveMaximum, 65'535));
  problem_information_ = connect_->properties.number(P::kRequestProblemInformation, 1) == 1;
  client_id_ = std::string(connect_->client_id);
  MqttReason reason = MqttReason::kSuccess;
  std::string_view why;
  if (!CheckConnect(&reason, &why)) {
    CountEnd(reason);
    return Refuse(reason, why, now_ms);
  }
  state_ = State::kAuthenticating;
  heard_ms_ = now_ms;
  server_.host().Authenticate(*this, {level_, connect_->client_id, connect_->has_user_name, connect_->has_password,
                                      connect_->user_name, connect_->password});
}

// What can be said without knowing who it is.
bool MqttServerConnection::CheckConnect(MqttReason* reason, std::string_view* why) const {
  const MqttSessionOptions& options = server_.options();
  const auto refuse = [&](MqttReason code, std::string_view text) {
    *reason = code;
    *why = text;
    return false;
  };
  if (connect_->properties.has(P::kAuthenticationMethod)) {
    return refuse(MqttReason::kBadAuthenticationMethod, "no authentication method is known here [MQTT-4.12.0-1]");
  }
  if (connect_->client_id.empty() && level_ == MqttLevel::k311 && !connect_->clean) {
    return refuse(MqttReason::kClientIdentifierNotValid, "an empty client identifier wants a clean session [MQTT-3.1.3-8]");
  }
  if (connect_->client_id.size() > options.max_client_id_bytes) {
    return refuse(MqttReason::kClientIdentifierNotValid, "the client identifier is too long");
  }
  if (server_.count().connections > options.max_connections) {
    return refuse(MqttReason::kQuotaExceeded, "too many connections");
  }
  if (!connect_->has_will) return true;
  if (connect_->will.topic.size() > options.max_topic_bytes || CountMqttLevels(connect_->will.topic) > options.max_topic_levels) {
    return refuse(MqttReason::kTopicNameInvalid, "the will topic is too long");
  }
  if (connect_->will.properties.number(P::kPayloadFormatIndicator, 0) == 1 && !IsUtf8(connect_->will.payload)) {
    return refuse(MqttReason::kPayloadFormatInvalid, "the will is not the UTF-8 it claims to be");
  }
  return true;
}

void MqttServerConnection::Refuse(MqttReason reason, std::string_view why, int64_t now_ms) {
  ++server_.count().connects_refused;
  if (level_ != MqttLevel::kUnknown) {
    MqttConnack connack;
    connack.reason = reason;
    if (!why.empty()) connack.properties.SetText(P::kReasonString, why);
    Send(connack);
  }
  End(reason, why, false, now_ms);
}

void MqttServerConnection::AuthenticationRefused(MqttReason reason, std::string_view text, int64_t now_ms) {
  if (state_ != State::kAuthenticating) return;
  ++server_.count().authentication_refused;
  Refuse(reason, text, now_ms);
}

void MqttServerConnection::Authenticated(std::shared_ptr<const MqttIdentity> identity, int64_t now_ms) {
  if (state_ != State::kAuthenticating) return;
  identity_ = std::move(identity);
  if (connect_->has_will && !Allows(identity_->publish, connect_->will.topic)) {
    ++server_.count().not_authorized;
    return Refuse(MqttReason::kNotAuthorized, "the will topic is not this device's", now_ms);
  }
  const bool assigned = client_id_.empty();
  if (assigned) client_id_ = server_.NewClientId();
  MqttServerSession* session = nullptr;
  const MqttServer::Attached attached = server_.Attach(*this, identity_, client_id_, connect_->clean, &session, now_ms);
  if (attached == MqttServer::Attached::kTooMany) {
    ++server_.count().quota_exceeded;
    return Refuse(MqttReason::kQuotaExceeded, "too many sessions", now_ms);
  }
  session_ = session;
  EndForbiddenSubscriptions();
  const MqttSessionOptions& options = server_.options();
  uint32_t asked_expiry_s = 0;
  if (level_ == MqttLevel::k5) {
    asked_expiry_s = connect_->properties.number(P::kSessionExpiryInterval, 0);
    session->expiry_s = std::min(asked_expiry_s, options.max_session_expiry_s);
    may_expire_ = asked_expiry_s != 0;
    const bool ours = options.max_keep_alive_s > 0 &&
                      (connect_->keep_alive_s == 0 || connect_->keep_alive_s > options.max_keep_alive_s);
    keep_alive_s_ = ours ? options.max_keep_alive_s : connect_->keep_alive_s;
  } else {
    session->expiry_s = connect_->clean ? 0 : options.v311_session_expiry_s;
    keep_alive_s_ = connect_->keep_alive_s;
  }
  TakeWill(now_ms);
  state_ = State::kConnected;
  heard_ms_ = now_ms;
  const bool resumed = attached == MqttServer::Attached::kResumed;
  ++server_.count().connects;
  if (resumed) ++server_.count().resumed;
  if (!SendConnack(resumed, assigned, asked_expiry_s)) {
    ++server_.count().packet_too_large;
    return End(MqttReason::kPacketTooLarge, "CONNACK exceeds the client's maximum packet size", true, now_ms);
  }
  connect_.reset();
  std::string().swap(connect_bytes_);
  SendDeliveries(now_ms);
  Work({}, now_ms);
}

void MqttServerConnection::TakeWill(int64_t now_ms) {
  session_->will = nullptr;
  session_->will_due_ms = kMqttNever;
  if (!connect_->has_will) return;
  MqttPublish will;
  will.topic = connect_->will.topic;
  will.payload = connect_->will.payload;
  will.qos = connect_->will.qos;
  will.retain = connect_->will.retain;
  will.properties = connect_->will.properties;
  session_->will_delay_s = will.properties.number(P::kWillDelayInterval, 0);
  session_->will = MqttKept::Make(will, client_id_, now_ms);
}

// Everything that differs from what a client assumes is said; the rest too, where it fits, so that a reader of a trace need
// not know the defaults. No maximum QoS: that we take QoS 2 is said by its absence (3.2.2.3.4).
bool MqttServerConnection::SendConnack(bool session_present, bool assigned, uint32_t asked_expiry_s) {
  MqttConnack connack;
  connack.session_present = session_present;
  if (level_ != MqttLevel::k5) return Send(connack);
  const MqttSessionOptions& options = server_.options();
  MqttProperties& properties = connack.properties;
  if (session_->expiry_s != asked_expiry_s) properties.SetNumber(P::kSessionExpiryInterval, session_->expiry_s);
  properties.SetNumber(P::kReceiveMaximum, options.receive_maximum);
  properties.SetNumber(P::kMaximumPacketSize, options.max_packet_bytes);
  if (options.topic_alias_maximum > 0) properties.SetNumber(P::kTopicAliasMaximum, options.topic_alias_maximum);
  if (assigned) properties.SetText(P::kAssignedClientIdentifier, client_id_);
  if (keep_alive_s_ != connect_->keep_alive_s) properties.SetNumber(P::kServerKeepAlive, keep_alive_s_);
  properties.SetNumber(P::kSharedSubscriptionAvailable, 0);
  properties.SetNumber(P::kRetainAvailable, 1);
  properties.SetNumber(P::kWildcardSubscriptionAvailable, 1);
  properties.SetNumber(P::kSubscriptionIdentifierAvailable, 1);
  if (connect_->properties.number(P::kRequestResponseInformation, 0) == 1 && !identity_->response_information.empty()) {
    properties.SetText(P::kResponseInformation, identity_->response_information);
  }
  if (server_.host().StoreFull()) {
    properties.AddUser("sluice-store", options.store_full_notice);
    told_full_ = true;
  }
  if (Send(connack)) return true;
  for (P optional : {P::kRetainAvailable, P::kWildcardSubscriptionAvailable, P::kSubscriptionIdentifierAvailable,
                     P::kResponseInformation}) {
    properties.Remove(optional);
  }
  return Send(connack);
}

}  // namespace sluice::transport
