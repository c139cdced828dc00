#include "devices/transport/mqtt_properties.h"

#include <array>
#include <cstdlib>

#include "devices/transport/mqtt_property_codec.h"
#include "devices/transport/mqtt_topic.h"

namespace sluice::transport {
namespace {

enum class Kind : uint8_t { kNone, kBit, kByte, kTwo, kFour, kVariable, kText, kBinary, kPair };

struct Row {
  Kind kind = Kind::kNone;
  uint8_t slot = 0;            // in numbers_ or texts_
  uint32_t carriers = 0;
  const char* name = "no property";
  const MqttRule* zero = nullptr;   // broken by 0
};

constexpr uint32_t kInPublish = kInPublishOfClient | kInPublishOfServer;
constexpr uint32_t kInDisconnect = kInDisconnectOfClient | kInDisconnectOfServer;
constexpr uint32_t kEverywhere = (kInAuth << 1) - 1;
constexpr size_t kRows = 0x2B;

constexpr std::array<Row, kRows> MakeTable() {
  using P = MqttProperty;
  std::array<Row, kRows> table{};
  const auto row = [&table](P property, Kind kind, uint8_t slot, uint32_t carriers, const char* name,
                            const MqttRule* zero = nullptr) {
    table[static_cast<size_t>(property)] = {kind, slot, carriers, name, zero};
  };
  // clang-format off
  row(P::kPayloadFormatIndicator,          Kind::kBit,      0, kInPublish | kInWill, "payload format indicator");
  row(P::kMessageExpiryInterval,           Kind::kFour,     1, kInPublish | kInWill, "message expiry interval");
  row(P::kSessionExpiryInterval,           Kind::kFour,     2, kInConnect | kInConnack | kInDisconnectOfClient, "session expiry interval");
  row(P::kServerKeepAlive,                 Kind::kTwo,      3, kInConnack, "server keep alive");
  row(P::kRequestProblemInformation,       Kind::kBit,      4, kInConnect, "request problem information");
  row(P::kWillDelayInterval,               Kind::kFour,     5, kInWill, "will delay interval");
  row(P::kRequestResponseInformation,      Kind::kBit,      6, kInConnect, "request response information");
  row(P::kReceiveMaximum,                  Kind::kTwo,      7, kInConnect | kInConnack, "receive maximum", &mqtt_rule::kZero);
  row(P::kTopicAliasMaximum,               Kind::kTwo,      8, kInConnect | kInConnack, "topic alias maximum");
  row(P::kTopicAlias,                      Kind::kTwo,      9, kInPublish, "topic alias", &mqtt_rule::kAliasZero);
  row(P::kMaximumQos,                      Kind::kBit,     10, kInConnack, "maximum QoS");
  row(P::kRetainAvailable,                 Kind::kBit,     11, kInConnack, "retain available");
  row(P::kMaximumPacketSize,               Kind::kFour,    12, kInConnect | kInConnack, "maximum packet size", &mqtt_rule::kZero);
  row(P::kWildcardSubscriptionAvailable,   Kind::kBit,     13, kInConnack, "wildcard subscription available");
  row(P::kSubscriptionIdentifierAvailable, Kind::kBit,     14, kInConnack, "subscription identifiers available");
  row(P::kSharedSubscriptionAvailable,     Kind::kBit,     15, kInConnack, "shared subscription available");
  row(P::kContentType,                     Kind::kText,     0, kInPublish | kInWill, "content type");
  row(P::kResponseTopic,                   Kind::kText,     1, kInPublish | kInWill, "response topic");
  row(P::kCorrelationData,                 Kind::kBinary,   2, kInPublish | kInWill, "correlation data");
  row(P::kAssignedClientIdentifier,        Kind::kText,     3, kInConnack, "assigned client identifier");
  row(P::kAuthenticationMethod,            Kind::kText,     4, kInConnect | kInConnack | kInAuth, "authentication method");
  row(P::kAuthenticationData,              Kind::kBinary,   5, kInConnect | kInConnack | kInAuth, "authentication data");
  row(P::kResponseInformation,             Kind::kText,     6, kInConnack, "response information");
  row(P::kServerReference,                 Kind::kText,     7, kInConnack | kInDisconnectOfServer, "server reference");
  row(P::kReasonString,                    Kind::kText,     8, kInConnack | kInAck | kInSuback | kInDisconnect | kInAuth, "reason string");
  row(P::kSubscriptionIdentifier,          Kind::kVariable, 0, kInPublishOfServer | kInSubscribe, "subscription identifier", &mqtt_rule::kZero);
  row(P::kUserProperty,                    Kind::kPair,     0, kEverywhere, "user property");
  // clang-format on
  return table;
}

constexpr std::array<Row, kRows> kTable = MakeTable();

const Row& RowOf(MqttProperty property) { return kTable[static_cast<size_t>(property)]; }

bool IsNumber(Kind kind) { return kind >= Kind::kBit && kind <= Kind::kFour; }

const MqttRule& NotUtf8(MqttProperty property) {
  if (property == MqttProperty::kResponseTopic) return mqtt_rule::kResponseNotUtf8;
  return property == MqttProperty::kContentType ? mqtt_rule::kContentTypeNotUtf8 : mqtt_rule::kNotUtf8;
}

// The rule that carriers of one direction break, where the other side may send the property.
const MqttRule& NotHere(MqttProperty property, MqttCarrier carrier) {
  if (property == MqttProperty::kSubscriptionIdentifier && carrier == kInPublishOfClient) {
    return mqtt_rule::kClientSubscriptionId;
  }
  if (property == MqttProperty::kSessionExpiryInterval && carrier == kInDisconnectOfServer) {
    return mqtt_rule::kServerSessionExpiry;
  }
  return mqtt_rule::kNotHere;
}

bool ReadNumber(MqttReader& reader, const Row& row, size_t begin, uint32_t* value) {
  uint8_t byte = 0;
  uint16_t two = 0;
  switch (row.kind) {
    case Kind::kBit:
    case Kind::kByte:
      if (!reader.Byte(row.name, &byte)) return false;
      *value = byte;
      if (row.kind == Kind::kBit && byte > 1) return reader.Fail(mqtt_rule::kNotZeroOrOne, row.name, begin);
      break;
    case Kind::kTwo:
      if (!reader.Two(row.name, &two)) return false;
      *value = two;
      break;
    case Kind::kFour:
      if (!reader.Four(row.name, value)) return false;
      break;
    default:
      if (!reader.VariableLength(row.name, value)) return false;
      break;
  }
  return *value != 0 || row.zero == nullptr || reader.Fail(*row.zero, row.name, begin);
}

// May there be several? User properties anywhere; subscription identifiers in what the server publishes.
bool Repeatable(MqttProperty property, MqttCarrier carrier) {
  return property == MqttProperty::kUserProperty ||
         (property == MqttProperty::kSubscriptionIdentifier && carrier == kInPublishOfServer);
}

bool ReadOne(MqttReader& reader, MqttCarrier carrier, MqttProperties* properties) {
  const size_t begin = reader.offset();
  uint32_t identifier = 0;
  if (!reader.VariableLength("property identifier", &identifier)) return false;
  if (identifier >= kRows || kTable[identifier].kind == Kind::kNone) {
    return reader.Fail(mqtt_rule::kNoSuchProperty, "property identifier", begin);
  }
  const auto property = static_cast<MqttProperty>(identifier);
  const Row& row = kTable[identifier];
  if ((row.carriers & carrier) == 0) return reader.Fail(NotHere(property, carrier), row.name, begin);
  if (properties->has(property) && !Repeatable(property, carrier)) return reader.Fail(mqtt_rule::kTwice, row.name, begin);
  uint32_t number = 0;
  std::string_view text, name;
  switch (row.kind) {
    case Kind::kText:
      if (!reader.Text(row.name, &text, NotUtf8(property))) return false;
      if (property == MqttProperty::kResponseTopic) {
        if (text.empty()) return reader.Fail(mqtt_rule::kTopicEmpty, row.name, begin);
        if (HasMqttWildcard(text)) return reader.Fail(mqtt_rule::kResponseWildcard, row.name, begin);
      }
      properties->SetText(property, text);
      return true;
    case Kind::kBinary:
      if (!reader.Binary(row.name, &text)) return false;
      properties->SetText(property, text);
      return true;
    case Kind::kPair:
      if (!reader.Text("user property's name", &name, mqtt_rule::kPairNotUtf8)) return false;
      if (!reader.Text("user property's value", &text, mqtt_rule::kPairNotUtf8)) return false;
      properties->AddUser(name, text);
      return true;
    case Kind::kVariable:
      if (!ReadNumber(reader, row, begin, &number)) return false;
      properties->AddSubscriptionIdentifier(number);
      return true;
    default:
      if (!ReadNumber(reader, row, begin, &number)) return false;
      properties->SetNumber(property, number);
      return true;
  }
}

}  // namespace

const char* MqttPropertyName(MqttProperty property) {
  return static_cast<size_t>(property) < kRows ? RowOf(property).name : "no property";
}

void MqttProperties::clear() {
  present_ = 0;
  constexpr size_t kUsual = 32;   // one packet with many more must not hold their memory for ever
  if (user_.capacity() > kUsual) std::vector<MqttUserProperty>().swap(user_);
  user_.clear();
  subscription_identifiers_.clear();
}

uint32_t MqttProperties::number(MqttProperty property, uint32_t otherwise) const {
  if (!has(property)) return otherwise;
  if (property == MqttProperty::kSubscriptionIdentifier) return subscription_identifiers_[0];
  return IsNumber(RowOf(property).kind) ? numbers_[RowOf(property).slot] : otherwise;
}

std::string_view MqttProperties::text(MqttProperty property) const {
  const Kind kind = RowOf(property).kind;
  return has(property) && (kind == Kind::kText || kind == Kind::kBinary) ? texts_[RowOf(property).slot]
                                                                          : std::string_view();
}

void MqttProperties::SetNumber(MqttProperty property, uint32_t value) {
  if (!IsNumber(RowOf(property).kind)) std::abort();   // a mistake of the caller, not of the peer
  numbers_[RowOf(property).slot] = value;
  present_ |= uint64_t{1} << static_cast<unsigned>(property);
}

void MqttProperties::SetText(MqttProperty property, std::string_view value) {
  if (RowOf(property).kind != Kind::kText && RowOf(property).kind != Kind::kBinary) std::abort();
  texts_[RowOf(property).slot] = value;
  present_ |= uint64_t{1} << static_cast<unsigned>(property);
}

void MqttProperties::AddUser(std::string_view name, std::string_view value) {
  user_.push_back({name, value});
  present_ |= uint64_t{1} << static_cast<unsigned>(MqttProperty::kUserProperty);
}

void MqttProperties::AddSubscriptionIdentifier(uint32_t identifier) {
  subscription_identifiers_.push_back(identifier);
  present_ |= uint64_t{1} << static_cast<unsigned>(MqttProperty::kSubscriptionIdentifier);
}

void MqttProperties::Remove(MqttProperty property) {
  present_ &= ~(uint64_t{1} << static_cast<unsigned>(property));
  if (property == MqttProperty::kUserProperty) user_.clear();
  if (property == MqttProperty::kSubscriptionIdentifier) subscription_identifiers_.clear();
}

bool ReadMqttProperties(MqttReader& reader, MqttCarrier carrier, MqttProperties* properties) {
  properties->clear();
  const size_t begin = reader.offset();
  uint32_t length = 0;
  if (!reader.VariableLength("property length", &length)) return false;
  if (length == 0) return true;
  if (length > reader.left()) return reader.Fail(mqtt_rule::kLengthBeyond, "property length", begin);
  const size_t end = reader.offset() + length;
  while (reader.offset() < end) {
    const size_t at = reader.offset();
    if (!ReadOne(reader, carrier, properties)) return false;
    // The last one must not reach into what follows the properties.
    if (reader.offset() > end) return reader.Fail(mqtt_rule::kTooShort, "properties", at);
  }
  if (properties->has(MqttProperty::kAuthenticationData) && !properties->has(MqttProperty::kAuthenticationMethod)) {
    return reader.Fail(mqtt_rule::kNoMethod, "authentication data", begin);
  }
  return true;
}

void WriteMqttProperties(const MqttProperties& properties, MqttWriter& writer) {
  if (properties.empty()) return writer.Byte(0);
  const size_t mark = writer.Mark();
  for (size_t identifier = 0; identifier < kRows; ++identifier) {
    const auto property = static_cast<MqttProperty>(identifier);
    const Row& row = kTable[identifier];
    if (!properties.has(property)) continue;
    if (row.kind == Kind::kPair) {
      for (const MqttUserProperty& user : properties.user()) {
        writer.Byte(static_cast<uint8_t>(identifier));
        writer.Binary(user.name);
        writer.Binary(user.value);
      }
      continue;
    }
    if (row.kind == Kind::kVariable) {
      for (uint32_t value : properties.subscription_identifiers()) {
        writer.Byte(static_cast<uint8_t>(identifier));
        writer.VariableLength(value);
      }
      continue;
    }
    writer.Byte(static_cast<uint8_t>(identifier));
    switch (row.kind) {
      case Kind::kBit:
      case Kind::kByte: writer.Byte(static_cast<uint8_t>(properties.number(property, 0))); break;
      case Kind::kTwo: writer.Two(static_cast<uint16_t>(properties.number(property, 0))); break;
      case Kind::kFour: writer.Four(properties.number(property, 0)); break;
      default: writer.Binary(properties.text(property)); break;
    }
  }
  writer.Close(mark);
}

}  // namespace sluice::transport
