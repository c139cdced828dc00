#include "tests/devices/transport/mqtt_describe.h"

#include <cctype>
#include <cstdio>

#include "base/strings.h"

namespace sluice::transport {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (std::isprint(static_cast<unsigned char>(c)) != 0 && c != '"' && c != '\\') {
      out += c;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", static_cast<unsigned char>(c));
      out += escaped;
    }
  }
  return out + "\"";
}

std::string Tail(const MqttProperties& properties) {
  const std::string text = Describe(properties);
  return text.empty() ? "" : " " + text;
}

struct Describer {
  std::string operator()(const MqttConnect& it) const {
    std::string out = StrCat("CONNECT v", static_cast<int>(it.level), it.clean ? " clean" : "", " keep alive ", it.keep_alive_s,
                             " client ", Quoted(it.client_id));
    if (it.has_will) {
      out += StrCat(" will q", it.will.qos, it.will.retain ? " retain " : " ", Quoted(it.will.topic), " = ",
                    Quoted(it.will.payload), Tail(it.will.properties));
    }
    if (it.has_user_name) out += " user " + Quoted(it.user_name);
    if (it.has_password) out += " password " + Quoted(it.password);
    return out + Tail(it.properties);
  }
  std::string operator()(const MqttConnack& it) const {
    return StrCat("CONNACK ", MqttReasonName(it.reason), it.session_present ? " present" : "", Tail(it.properties));
  }
  std::string operator()(const MqttPublish& it) const {
    std::string out = StrCat("PUBLISH q", it.qos, it.dup ? " dup" : "", it.retain ? " retain" : "");
    if (it.qos > 0) out += StrCat(" #", it.packet_id);
    return StrCat(out, " ", it.topic, " = ", it.payload, Tail(it.properties));
  }
  std::string operator()(const MqttAck& it) const {
    std::string out = StrCat(std::string_view(MqttTypeName(it.type)), " #", it.packet_id);
    if (it.reason != MqttReason::kSuccess) out += StrCat(" ", MqttReasonName(it.reason));
    return out + Tail(it.properties);
  }
  std::string operator()(const MqttSubscribe& it) const {
    std::string out = StrCat("SUBSCRIBE #", it.packet_id);
    for (const MqttSubscription& one : it.subscriptions) {
      out += StrCat(" [", one.filter, " q", one.qos, one.no_local ? " no-local" : "",
                    one.retain_as_published ? " as-published" : "");
      if (one.retain_handling > 0) out += StrCat(" handling ", one.retain_handling);
      out += "]";
    }
    return out + Tail(it.properties);
  }
  std::string operator()(const MqttUnsubscribe& it) const {
    std::string out = StrCat("UNSUBSCRIBE #", it.packet_id);
    for (std::string_view filter : it.filters) out += StrCat(" [", filter, "]");
    return out + Tail(it.properties);
  }
  std::string operator()(const MqttSuback& it) const {
    std::string out = StrCat(std::string_view(MqttTypeName(it.type)), " #", it.packet_id);
    const char* separator = " ";
    for (MqttReason reason : it.reasons) {
      const bool granted = it.type == MqttType::kSuback && reason == MqttReason::kSuccess;
      out += StrCat(std::string_view(separator), granted ? "granted QoS 0" : MqttReasonName(reason));
      separator = ", ";
    }
    return out + Tail(it.properties);
  }
  std::string operator()(const MqttPing& it) const { return MqttTypeName(it.type); }
  std::string operator()(const MqttDisconnect& it) const {
    return StrCat("DISCONNECT ", MqttReasonName(it.reason), Tail(it.properties));
  }
  std::string operator()(const MqttAuth& it) const {
    return StrCat("AUTH ", MqttReasonName(it.reason), Tail(it.properties));
  }
};

}  // namespace

std::string Describe(const MqttPacket& packet) { return std::visit(Describer(), packet); }

std::string Describe(const MqttProperties& properties) {
  if (properties.empty()) return "";
  std::string out;
  for (int i = 0; i < 64; ++i) {
    const auto property = static_cast<MqttProperty>(i);
    if (!properties.has(property)) continue;
    if (property == MqttProperty::kUserProperty) {
      for (const MqttUserProperty& user : properties.user()) out += StrCat(", user ", user.name, "=", user.value);
      continue;
    }
    if (property == MqttProperty::kSubscriptionIdentifier) {
      for (uint32_t id : properties.subscription_identifiers()) out += StrCat(", subscription identifier ", id);
      continue;
    }
    out += StrCat(", ", std::string_view(MqttPropertyName(property)), " ");
    switch (property) {
      case MqttProperty::kContentType:
      case MqttProperty::kResponseTopic:
      case MqttProperty::kCorrelationData:
      case MqttProperty::kAssignedClientIdentifier:
      case MqttProperty::kAuthenticationMethod:
      case MqttProperty::kAuthenticationData:
      case MqttProperty::kResponseInformation:
      case MqttProperty::kServerReference:
      case MqttProperty::kReasonString: out += Quoted(properties.text(property)); break;
      default: out += StrCat(properties.number(property, 0)); break;
    }
  }
  return "{" + out.substr(2) + "}";
}

std::string Describe(const MqttFault& fault) {
  char code[8];
  std::snprintf(code, sizeof(code), "0x%02x", static_cast<unsigned>(fault.reason));
  std::string out = StrCat(std::string_view(code), " @", fault.offset, " ", std::string_view(fault.field));
  if (*fault.statement != '\0') out += StrCat(" [", std::string_view(fault.statement), "]");
  return out;
}

std::string FromHex(std::string_view hex) {
  std::string out, digits;
  for (char c : hex) {
    if (std::isxdigit(static_cast<unsigned char>(c)) != 0) digits += c;
    if (digits.size() < 2) continue;
    out += static_cast<char>(std::stoi(digits, nullptr, 16));
    digits.clear();
  }
  return out;
}

std::string ToHex(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    char two[4];
    std::snprintf(two, sizeof(two), "%02x", static_cast<unsigned char>(c));
    out += two;
  }
  return out;
}

}  // namespace sluice::transport
