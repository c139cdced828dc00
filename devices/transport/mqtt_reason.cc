#include "devices/transport/mqtt_reason.h"

namespace sluice::transport {

std::string_view MqttReasonName(MqttReason reason) {
  switch (reason) {
    case MqttReason::kSuccess: return "success";
    case MqttReason::kGrantedQos1: return "granted QoS 1";
    case MqttReason::kGrantedQos2: return "granted QoS 2";
    case MqttReason::kDisconnectWithWill: return "disconnect with will message";
    case MqttReason::kNoMatchingSubscribers: return "no matching subscribers";
    case MqttReason::kNoSubscriptionExisted: return "no subscription existed";
    case MqttReason::kContinueAuthentication: return "continue authentication";
    case MqttReason::kReauthenticate: return "re-authenticate";
    case MqttReason::kUnspecifiedError: return "unspecified error";
    case MqttReason::kMalformedPacket: return "malformed packet";
    case MqttReason::kProtocolError: return "protocol error";
    case MqttReason::kImplementationSpecificError: return "implementation specific error";
    case MqttReason::kUnsupportedProtocolVersion: return "unsupported protocol version";
    case MqttReason::kClientIdentifierNotValid: return "client identifier not valid";
    case MqttReason::kBadUserNameOrPassword: return "bad user name or password";
    case MqttReason::kNotAuthorized: return "not authorized";
    case MqttReason::kServerUnavailable: return "server unavailable";
    case MqttReason::kServerBusy: return "server busy";
    case MqttReason::kBanned: return "banned";
    case MqttReason::kServerShuttingDown: return "server shutting down";
    case MqttReason::kBadAuthenticationMethod: return "bad authentication method";
    case MqttReason::kKeepAliveTimeout: return "keep alive timeout";
    case MqttReason::kSessionTakenOver: return "session taken over";
    case MqttReason::kTopicFilterInvalid: return "topic filter invalid";
    case MqttReason::kTopicNameInvalid: return "topic name invalid";
    case MqttReason::kPacketIdentifierInUse: return "packet identifier in use";
    case MqttReason::kPacketIdentifierNotFound: return "packet identifier not found";
    case MqttReason::kReceiveMaximumExceeded: return "receive maximum exceeded";
    case MqttReason::kTopicAliasInvalid: return "topic alias invalid";
    case MqttReason::kPacketTooLarge: return "packet too large";
    case MqttReason::kMessageRateTooHigh: return "message rate too high";
    case MqttReason::kQuotaExceeded: return "quota exceeded";
    case MqttReason::kAdministrativeAction: return "administrative action";
    case MqttReason::kPayloadFormatInvalid: return "payload format invalid";
    case MqttReason::kRetainNotSupported: return "retain not supported";
    case MqttReason::kQosNotSupported: return "QoS not supported";
    case MqttReason::kUseAnotherServer: return "use another server";
    case MqttReason::kServerMoved: return "server moved";
    case MqttReason::kSharedSubscriptionsNotSupported: return "shared subscriptions not supported";
    case MqttReason::kConnectionRateExceeded: return "connection rate exceeded";
    case MqttReason::kMaximumConnectTime: return "maximum connect time";
    case MqttReason::kSubscriptionIdentifiersNotSupported: return "subscription identifiers not supported";
    case MqttReason::kWildcardSubscriptionsNotSupported: return "wildcard subscriptions not supported";
  }
  return "unknown reason";
}

uint8_t MqttConnectReturnCode(MqttReason reason) {
  switch (reason) {
    case MqttReason::kSuccess: return 0;
    case MqttReason::kUnsupportedProtocolVersion: return 1;
    case MqttReason::kClientIdentifierNotValid: return 2;
    case MqttReason::kBadUserNameOrPassword: return 4;
    case MqttReason::kNotAuthorized:
    case MqttReason::kBanned:
    case MqttReason::kBadAuthenticationMethod: return 5;
    default: return 3;
  }
}

}  // namespace sluice::transport
