// Properties of MQTT 5.0 (2.2.2, table 2-4): one struct for all packets, and which packet may carry which.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::transport {

enum class MqttProperty : uint8_t {
  kPayloadFormatIndicator = 0x01,
  kMessageExpiryInterval = 0x02,
  kContentType = 0x03,
  kResponseTopic = 0x08,
  kCorrelationData = 0x09,
  kSubscriptionIdentifier = 0x0B,
  kSessionExpiryInterval = 0x11,
  kAssignedClientIdentifier = 0x12,
  kServerKeepAlive = 0x13,
  kAuthenticationMethod = 0x15,
  kAuthenticationData = 0x16,
  kRequestProblemInformation = 0x17,
  kWillDelayInterval = 0x18,
  kRequestResponseInformation = 0x19,
  kResponseInformation = 0x1A,
  kServerReference = 0x1C,
  kReasonString = 0x1F,
  kReceiveMaximum = 0x21,
  kTopicAliasMaximum = 0x22,
  kTopicAlias = 0x23,
  kMaximumQos = 0x24,
  kRetainAvailable = 0x25,
  kUserProperty = 0x26,
  kMaximumPacketSize = 0x27,
  kWildcardSubscriptionAvailable = 0x28,
  kSubscriptionIdentifierAvailable = 0x29,
  kSharedSubscriptionAvailable = 0x2A,
};
const char* MqttPropertyName(MqttProperty property);   // "session expiry interval"

struct MqttUserProperty {
  std::string_view name, value;
};

// Values stand in the member whose type fits; `has` says which are there. Views into the packet that was decoded, or into
// what the caller keeps alive while it encodes. Nothing is allocated without user properties or subscription identifiers,
// and clear() keeps what a usual packet takes.
class MqttProperties {
 public:
  bool has(MqttProperty property) const { return (present_ >> static_cast<unsigned>(property)) & 1; }
  bool empty() const { return present_ == 0; }
  void clear();

  // Numbers: all of one, two or four bytes and variable length. `otherwise` where it is not there.
  uint32_t number(MqttProperty property, uint32_t otherwise) const;
  // Strings and binary data; empty where it is not there.
  std::string_view text(MqttProperty property) const;
  const std::vector<MqttUserProperty>& user() const { return user_; }
  const std::vector<uint32_t>& subscription_identifiers() const { return subscription_identifiers_; }

  void SetNumber(MqttProperty property, uint32_t value);
  void SetText(MqttProperty property, std::string_view value);
  void AddUser(std::string_view name, std::string_view value);
  void AddSubscriptionIdentifier(uint32_t identifier);
  void Remove(MqttProperty property);

 private:
  static constexpr int kNumbers = 16, kTexts = 9;   // see the table in mqtt_properties.cc
  uint64_t present_ = 0;   // bit n: property n
  uint32_t numbers_[kNumbers];
  std::string_view texts_[kTexts];
  std::vector<MqttUserProperty> user_;
  std::vector<uint32_t> subscription_identifiers_;
};

}  // namespace sluice::transport
