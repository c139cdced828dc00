// The rules of the packets' formats, one line each: the reason code, the statement's id in 3.1.1 and in 5.0, what is said of
// who breaks it. The codec's own; a broken rule becomes an MqttFault.
#pragma once

#include "devices/transport/mqtt_fault.h"
#include "devices/transport/mqtt_reason.h"

namespace sluice::transport {

struct MqttRule {
  MqttReason reason;
  const char* v311;   // statement id; empty: the standard gives the rule without one, or the level does not know it
  const char* v5;
  const char* what;
};

inline MqttFault Broken(const MqttRule& rule, MqttLevel level, const char* packet, const char* field, size_t offset) {
  return {rule.reason, level == MqttLevel::k311 ? rule.v311 : rule.v5, packet, field, rule.what, offset};
}

namespace mqtt_rule {

using R = MqttReason;

// Fixed header.
inline constexpr MqttRule kNoSuchType{R::kMalformedPacket, "", "MQTT-4.13.1-1", "no packet has this type"};
inline constexpr MqttRule kAuthUnknown{R::kProtocolError, "MQTT-4.8.0-1", "", "3.1.1 knows no AUTH"};
inline constexpr MqttRule kFlags{R::kMalformedPacket, "MQTT-2.2.2-2", "MQTT-2.1.3-1", "reserved flags are not as prescribed"};
inline constexpr MqttRule kPubrelFlags{R::kMalformedPacket, "MQTT-3.6.1-1", "MQTT-3.6.1-1", "flags must be 0010"};
inline constexpr MqttRule kSubscribeFlags{R::kMalformedPacket, "MQTT-3.8.1-1", "MQTT-3.8.1-1", "flags must be 0010"};
inline constexpr MqttRule kUnsubscribeFlags{R::kMalformedPacket, "MQTT-3.10.1-1", "MQTT-3.10.1-1", "flags must be 0010"};
inline constexpr MqttRule kDisconnectFlags{R::kMalformedPacket, "MQTT-3.14.1-1", "MQTT-3.14.1-1", "flags must be 0000"};
inline constexpr MqttRule kAuthFlags{R::kMalformedPacket, "", "MQTT-3.15.1-1", "flags must be 0000"};
inline constexpr MqttRule kQos3{R::kMalformedPacket, "MQTT-3.3.1-4", "MQTT-3.3.1-4", "QoS 3"};
inline constexpr MqttRule kDupAtQos0{R::kMalformedPacket, "MQTT-3.3.1-2", "MQTT-3.3.1-2", "DUP at QoS 0"};
inline constexpr MqttRule kLengthTooLong{R::kMalformedPacket, "", "", "takes more than four bytes"};
inline constexpr MqttRule kLengthNotShortest{R::kMalformedPacket, "", "MQTT-1.5.5-1", "takes more bytes than it needs"};
inline constexpr MqttRule kTooLarge{R::kPacketTooLarge, "", "MQTT-3.2.2-15", "the packet is larger than the maximum"};

// Any body. Every string of 3.1.1 has a statement of its own (below).
inline constexpr MqttRule kTooShort{R::kMalformedPacket, "MQTT-4.8.0-1", "MQTT-4.13.1-1", "the packet ends within it"};
inline constexpr MqttRule kTrailing{R::kMalformedPacket, "MQTT-4.8.0-1", "MQTT-4.13.1-1", "bytes after the packet's last field"};
inline constexpr MqttRule kNotUtf8{R::kMalformedPacket, "", "MQTT-1.5.4-1", "is not well-formed UTF-8"};
inline constexpr MqttRule kPairNotUtf8{R::kMalformedPacket, "", "MQTT-1.5.7-1", "is not well-formed UTF-8"};
inline constexpr MqttRule kNul{R::kMalformedPacket, "MQTT-1.5.3-2", "MQTT-1.5.4-2", "contains U+0000"};
inline constexpr MqttRule kPacketIdZero{R::kProtocolError, "MQTT-2.3.1-1", "MQTT-2.2.1-3", "is 0"};
inline constexpr MqttRule kAckIdZero{R::kProtocolError, "MQTT-2.3.1-6", "MQTT-2.2.1-5", "is 0"};
inline constexpr MqttRule kSubackIdZero{R::kProtocolError, "MQTT-2.3.1-7", "MQTT-2.2.1-6", "is 0"};

// Properties, 5.0.
inline constexpr MqttRule kNoSuchProperty{R::kMalformedPacket, "", "MQTT-4.13.1-1", "no property has this identifier"};
inline constexpr MqttRule kNotHere{R::kMalformedPacket, "", "MQTT-4.13.1-1", "is not a property of this packet"};
inline constexpr MqttRule kTwice{R::kProtocolError, "", "MQTT-4.13.1-1", "is there twice"};
inline constexpr MqttRule kNotZeroOrOne{R::kProtocolError, "", "MQTT-4.13.1-1", "is neither 0 nor 1"};
inline constexpr MqttRule kZero{R::kProtocolError, "", "MQTT-4.13.1-1", "is 0"};
inline constexpr MqttRule kAliasZero{R::kTopicAliasInvalid, "", "MQTT-3.3.2-8", "is 0"};
inline constexpr MqttRule kNoMethod{R::kProtocolError, "", "MQTT-4.13.1-1", "is there without an authentication method"};
inline constexpr MqttRule kMethodMissing{R::kProtocolError, "", "MQTT-4.13.1-1", "is missing"};
inline constexpr MqttRule kClientSubscriptionId{R::kProtocolError, "", "MQTT-3.3.4-6", "is not for clients to send"};
inline constexpr MqttRule kServerSessionExpiry{R::kProtocolError, "", "MQTT-3.14.2-2", "is not for servers to send"};
inline constexpr MqttRule kLengthBeyond{R::kMalformedPacket, "", "MQTT-4.13.1-1", "is longer than the packet"};

// Topics.
inline constexpr MqttRule kTopicWildcard{R::kMalformedPacket, "MQTT-3.3.2-2", "MQTT-3.3.2-2", "contains a wildcard"};
inline constexpr MqttRule kWillWildcard{R::kMalformedPacket, "MQTT-4.7.1-1", "MQTT-4.7.0-1", "contains a wildcard"};
inline constexpr MqttRule kResponseWildcard{R::kMalformedPacket, "", "MQTT-3.3.2-14", "contains a wildcard"};
inline constexpr MqttRule kTopicEmpty{R::kMalformedPacket, "MQTT-4.7.3-1", "MQTT-4.7.3-1", "is empty"};
inline constexpr MqttRule kTopicAndAliasEmpty{R::kProtocolError, "", "MQTT-4.7.3-1", "is empty, and there is no topic alias"};
inline constexpr MqttRule kFilterHash{R::kMalformedPacket, "MQTT-4.7.1-2", "MQTT-4.7.1-1",
                                      "# is not the last character, or does not follow a separator"};
inline constexpr MqttRule kFilterPlus{R::kMalformedPacket, "MQTT-4.7.1-3", "MQTT-4.7.1-2", "+ does not take a whole level"};
inline constexpr MqttRule kShareName{R::kMalformedPacket, "", "MQTT-4.8.2-1", "$share/ without a share name"};
inline constexpr MqttRule kShareFilter{R::kMalformedPacket, "", "MQTT-4.8.2-2",
                                       "the share name has a wildcard, or no filter follows it"};

// CONNECT.
inline constexpr MqttRule kProtocolName{R::kUnsupportedProtocolVersion, "MQTT-3.1.2-1", "MQTT-3.1.2-1", "is not MQTT"};
inline constexpr MqttRule kProtocolLevel{R::kUnsupportedProtocolVersion, "MQTT-3.1.2-2", "MQTT-3.1.2-2",
                                         "is neither 4 (3.1.1) nor 5"};
inline constexpr MqttRule kConnectReserved{R::kMalformedPacket, "MQTT-3.1.2-3", "MQTT-3.1.2-3", "the reserved bit is set"};
inline constexpr MqttRule kWillQosWithoutWill{R::kMalformedPacket, "MQTT-3.1.2-13", "MQTT-3.1.2-11", "will QoS without a will"};
inline constexpr MqttRule kWillQos3{R::kMalformedPacket, "MQTT-3.1.2-14", "MQTT-3.1.2-12", "will QoS 3"};
inline constexpr MqttRule kWillRetainWithoutWill{R::kMalformedPacket, "MQTT-3.1.2-15", "MQTT-3.1.2-13",
                                                 "will retain without a will"};
inline constexpr MqttRule kPasswordWithoutName{R::kMalformedPacket, "MQTT-3.1.2-22", "", "a password without a user name"};
inline constexpr MqttRule kClientIdMissing{R::kMalformedPacket, "MQTT-3.1.3-3", "MQTT-3.1.3-3", "the packet ends within it"};
inline constexpr MqttRule kClientIdNotUtf8{R::kMalformedPacket, "MQTT-3.1.3-4", "MQTT-3.1.3-4", "is not well-formed UTF-8"};
inline constexpr MqttRule kWillMissing{R::kMalformedPacket, "MQTT-3.1.2-9", "MQTT-3.1.2-9", "the packet ends within it"};
inline constexpr MqttRule kWillTopicNotUtf8{R::kMalformedPacket, "MQTT-3.1.3-10", "MQTT-3.1.3-11", "is not well-formed UTF-8"};
inline constexpr MqttRule kUserNameMissing{R::kMalformedPacket, "MQTT-3.1.2-19", "MQTT-3.1.2-17", "the packet ends within it"};
inline constexpr MqttRule kUserNameNotUtf8{R::kMalformedPacket, "MQTT-3.1.3-11", "MQTT-3.1.3-12", "is not well-formed UTF-8"};
inline constexpr MqttRule kPasswordMissing{R::kMalformedPacket, "MQTT-3.1.2-21", "MQTT-3.1.2-19", "the packet ends within it"};
inline constexpr MqttRule kConnectTrailing{R::kMalformedPacket, "MQTT-3.1.4-1", "MQTT-3.1.4-1",
                                           "bytes after what the flags announce"};

// The others.
inline constexpr MqttRule kConnackFlags{R::kMalformedPacket, "MQTT-4.8.0-1", "MQTT-3.2.2-1", "reserved bits are set"};
inline constexpr MqttRule kConnackReason{R::kProtocolError, "MQTT-3.2.2-6", "MQTT-3.2.2-8", "is none of CONNACK's"};
inline constexpr MqttRule kConnackPresent{R::kProtocolError, "MQTT-3.2.2-4", "MQTT-3.2.2-6", "is set in a refusal"};
inline constexpr MqttRule kPublishTopicNotUtf8{R::kMalformedPacket, "MQTT-3.3.2-1", "MQTT-3.3.2-1", "is not well-formed UTF-8"};
inline constexpr MqttRule kResponseNotUtf8{R::kMalformedPacket, "", "MQTT-3.3.2-13", "is not well-formed UTF-8"};
inline constexpr MqttRule kContentTypeNotUtf8{R::kMalformedPacket, "", "MQTT-3.3.2-19", "is not well-formed UTF-8"};
inline constexpr MqttRule kPubackReason{R::kProtocolError, "", "MQTT-3.4.2-1", "is none of PUBACK's"};
inline constexpr MqttRule kPubrecReason{R::kProtocolError, "", "MQTT-3.5.2-1", "is none of PUBREC's"};
inline constexpr MqttRule kPubrelReason{R::kProtocolError, "", "MQTT-3.6.2-1", "is none of PUBREL's"};
inline constexpr MqttRule kPubcompReason{R::kProtocolError, "", "MQTT-3.7.2-1", "is none of PUBCOMP's"};
inline constexpr MqttRule kSubscribeEmpty{R::kProtocolError, "MQTT-3.8.3-3", "MQTT-3.8.3-2", "no topic filter"};
inline constexpr MqttRule kSubscribeNotUtf8{R::kMalformedPacket, "MQTT-3.8.3-1", "MQTT-3.8.3-1", "is not well-formed UTF-8"};
inline constexpr MqttRule kSubscribeReserved{R::kMalformedPacket, "MQTT-3.8.3-4", "MQTT-3.8.3-5", "reserved bits are set"};
inline constexpr MqttRule kSubscribeQos3{R::kProtocolError, "MQTT-3.8.3-4", "MQTT-4.13.1-1", "QoS 3"};
inline constexpr MqttRule kRetainHandling3{R::kProtocolError, "", "MQTT-4.13.1-1", "retain handling 3"};
inline constexpr MqttRule kNoLocalShared{R::kProtocolError, "", "MQTT-3.8.3-4", "no local on a shared subscription"};
inline constexpr MqttRule kSubackReason{R::kProtocolError, "MQTT-3.9.3-2", "MQTT-3.9.3-2", "is none of SUBACK's"};
inline constexpr MqttRule kUnsubscribeEmpty{R::kProtocolError, "MQTT-3.10.3-2", "MQTT-3.10.3-2", "no topic filter"};
inline constexpr MqttRule kUnsubscribeNotUtf8{R::kMalformedPacket, "MQTT-3.10.3-1", "MQTT-3.10.3-1",
                                              "is not well-formed UTF-8"};
inline constexpr MqttRule kUnsubackReason{R::kProtocolError, "", "MQTT-3.11.3-2", "is none of UNSUBACK's"};
inline constexpr MqttRule kDisconnectReason{R::kProtocolError, "", "MQTT-3.14.2-1", "is none of DISCONNECT's from this side"};
inline constexpr MqttRule kDisconnectSender{R::kProtocolError, "MQTT-4.8.0-1", "", "3.1.1 servers send no DISCONNECT"};
inline constexpr MqttRule kAuthReason{R::kProtocolError, "", "MQTT-3.15.2-1", "is none of AUTH's from this side"};
inline constexpr MqttRule kNotFromHere{R::kProtocolError, "MQTT-4.8.0-1", "MQTT-4.13.1-1", "is not for this side to send"};

}  // namespace mqtt_rule
}  // namespace sluice::transport
