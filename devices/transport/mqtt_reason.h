// Reason codes of MQTT 5.0 (2.4, table 2-6) and what 3.1.1 has in their place.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::transport {

// The protocol level as CONNECT carries it. kUnknown: no CONNECT was seen yet.
enum class MqttLevel : uint8_t { kUnknown = 0, k311 = 4, k5 = 5 };

enum class MqttReason : uint8_t {
  kSuccess = 0x00,   // also: normal disconnection, granted QoS 0
  kGrantedQos1 = 0x01,
  kGrantedQos2 = 0x02,
  kDisconnectWithWill = 0x04,
  kNoMatchingSubscribers = 0x10,
  kNoSubscriptionExisted = 0x11,
  kContinueAuthentication = 0x18,
  kReauthenticate = 0x19,
  kUnspecifiedError = 0x80,
  kMalformedPacket = 0x81,
  kProtocolError = 0x82,
  kImplementationSpecificError = 0x83,
  kUnsupportedProtocolVersion = 0x84,
  kClientIdentifierNotValid = 0x85,
  kBadUserNameOrPassword = 0x86,
  kNotAuthorized = 0x87,
  kServerUnavailable = 0x88,
  kServerBusy = 0x89,
  kBanned = 0x8A,
  kServerShuttingDown = 0x8B,
  kBadAuthenticationMethod = 0x8C,
  kKeepAliveTimeout = 0x8D,
  kSessionTakenOver = 0x8E,
  kTopicFilterInvalid = 0x8F,
  kTopicNameInvalid = 0x90,
  kPacketIdentifierInUse = 0x91,
  kPacketIdentifierNotFound = 0x92,
  kReceiveMaximumExceeded = 0x93,
  kTopicAliasInvalid = 0x94,
  kPacketTooLarge = 0x95,
  kMessageRateTooHigh = 0x96,
  kQuotaExceeded = 0x97,
  kAdministrativeAction = 0x98,
  kPayloadFormatInvalid = 0x99,
  kRetainNotSupported = 0x9A,
  kQosNotSupported = 0x9B,
  kUseAnotherServer = 0x9C,
  kServerMoved = 0x9D,
  kSharedSubscriptionsNotSupported = 0x9E,
  kConnectionRateExceeded = 0x9F,
  kMaximumConnectTime = 0xA0,
  kSubscriptionIdentifiersNotSupported = 0xA1,
  kWildcardSubscriptionsNotSupported = 0xA2,
};

// "not authorized"; "unknown reason" for a value that is none.
std::string_view MqttReasonName(MqttReason reason);

inline bool IsFailure(MqttReason reason) { return static_cast<uint8_t>(reason) >= 0x80; }

// The return code of a 3.1.1 CONNACK (3.2.2.3): 0 accepted, 1 protocol version, 2 identifier rejected, 3 server unavailable,
// 4 bad user name or password, 5 not authorized.
uint8_t MqttConnectReturnCode(MqttReason reason);

}  // namespace sluice::transport
