#include "devices/sim/mqtt_packet.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/strings.h"

namespace sluice::sim {
namespace {

constexpr uint8_t kConnect = 1, kPublish = 3, kPuback = 4, kSubscribe = 8, kPingreq = 12, kDisconnect = 14;
constexpr uint8_t kQos1 = 1;

// Properties (2.2.2.2) that are sent or looked at.
constexpr uint8_t kSessionExpiry = 0x11, kServerKeepAlive = 0x13, kReasonString = 0x1F, kReceiveMaximum = 0x21,
                  kTopicAlias = 0x23;

void Byte(std::string& out, unsigned value) { out.push_back(static_cast<char>(value)); }

void Two(std::string& out, unsigned value) {
  Byte(out, value >> 8);
  Byte(out, value & 0xFF);
}

void Four(std::string& out, uint32_t value) {
  Two(out, value >> 16);
  Two(out, value & 0xFFFF);
}

void Text(std::string& out, std::string_view text) {
  Two(out, static_cast<unsigned>(text.size()));
  out += text;
}

// Variable byte integer (1.5.5).
void Length(std::string& out, size_t value) {
  do {
    const auto low = static_cast<unsigned>(value % 128);
    value /= 128;
    Byte(out, value > 0 ? low | 0x80 : low);
  } while (value > 0);
}

void Header(std::string& out, uint8_t type, uint8_t flags, size_t remaining) {
  Byte(out, static_cast<unsigned>(type << 4 | flags));
  Length(out, remaining);
}

// Reads forward; once it has run out everything is zero and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}
  bool ok() const { return ok_; }
  bool done() const { return data_.empty(); }
  std::string_view Bytes(size_t size) {
    if (size > data_.size()) {
      ok_ = false;
      data_ = {};
      return {};
    }
    const std::string_view out = data_.substr(0, size);
    data_.remove_prefix(size);
    return out;
  }
  std::string_view Rest() { return Bytes(data_.size()); }
  uint8_t Byte() {
    const std::string_view raw = Bytes(1);
    return raw.empty() ? 0 : static_cast<uint8_t>(raw[0]);
  }
  uint16_t Two() {
    const unsigned high = Byte();
    return static_cast<uint16_t>(high << 8 | Byte());
  }
  std::string_view Text() { return Bytes(Two()); }
  size_t Length() {
    size_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
      const uint8_t byte = Byte();
      value |= size_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    return 0;
  }

 private:
  std::string_view data_;
  bool ok_ = true;
};

// Skips what a device has no use for. False on a property that it cannot even skip.
bool ReadProperties(Reader& in, ServerPacket& packet) {
  Reader properties(in.Bytes(in.Length()));
  while (in.ok() && properties.ok() && !properties.done()) {
    const uint8_t name = properties.Byte();
    switch (name) {
      case kReceiveMaximum: packet.receive_maximum = std::max<uint16_t>(properties.Two(), 1); break;
      case kServerKeepAlive: packet.server_keepalive_s = properties.Two(); break;
      case kReasonString: packet.text = properties.Text(); break;
      case 0x01: case 0x17: case 0x19: case 0x24: case 0x25: case 0x28: case 0x29: case 0x2A: properties.Byte(); break;
      case 0x22: case kTopicAlias: properties.Two(); break;
      case 0x02: case kSessionExpiry: case 0x18: case 0x27: properties.Bytes(4); break;
      case 0x03: case 0x08: case 0x09: case 0x12: case 0x15: case 0x16: case 0x1A: case 0x1C: properties.Text(); break;
      case 0x0B: properties.Length(); break;
      case 0x26:
        properties.Text();
        properties.Text();
        break;
      default: return false;
    }
  }
  return in.ok() && properties.ok();
}

bool ReadBody(MqttVersion version, uint8_t flags, Reader& in, ServerPacket& packet) {
  const bool five = version == MqttVersion::k5;
  switch (packet.type) {
    case ServerPacket::Type::kConnack:
      packet.session_present = (in.Byte() & 1U) != 0;
      packet.reason = in.Byte();
      return !five || ReadProperties(in, packet);
    case ServerPacket::Type::kPublish:
      packet.qos = static_cast<uint8_t>(flags >> 1 & 3U);
      packet.topic = in.Text();
      if (packet.qos > 0) packet.id = in.Two();
      // An alias is never allowed: CONNECT names no maximum.
      if (packet.qos > 1 || packet.topic.empty() || (five && !ReadProperties(in, packet))) return false;
      packet.payload = in.Rest();
      return true;
    case ServerPacket::Type::kPuback:
      packet.id = in.Two();
      if (five && !in.done()) packet.reason = in.Byte();
      return !five || in.done() || ReadProperties(in, packet);
    case ServerPacket::Type::kSuback:
      packet.id = in.Two();
      if (five && !ReadProperties(in, packet)) return false;
      packet.reason = in.Byte();
      return true;
    case ServerPacket::Type::kPingresp: return true;
    case ServerPacket::Type::kDisconnect:
      if (!five) return false;
      if (!in.done()) packet.reason = in.Byte();
      return in.done() || ReadProperties(in, packet);
  }
  return false;
}

}  // namespace

void AppendConnect(const ConnectPacket& connect, std::string& out) {
  const bool five = connect.version == MqttVersion::k5;
  constexpr unsigned kCleanStart = 0x02, kWill = 0x04, kWillQos1 = 0x08, kPassword = 0x40, kUser = 0x80;
  unsigned flags = connect.clean ? kCleanStart : 0;
  if (!connect.will_topic.empty()) flags |= kWill | kWillQos1;
  if (!connect.user.empty()) flags |= kUser;
  if (!connect.user.empty() && !connect.password.empty()) flags |= kPassword;
  std::string body;
  Text(body, "MQTT");
  Byte(body, static_cast<unsigned>(connect.version));
  Byte(body, flags);
  Two(body, connect.keepalive_s);
  if (five) {
    constexpr size_t kExpiryBytes = 5;
    Length(body, connect.session_expiry_s > 0 ? kExpiryBytes : 0);
    if (connect.session_expiry_s > 0) {
      Byte(body, kSessionExpiry);
      Four(body, connect.session_expiry_s);
    }
  }
  Text(body, connect.client_id);
  if ((flags & kWill) != 0) {
    if (five) Length(body, 0);
    Text(body, connect.will_topic);
    Text(body, connect.will_payload);
  }
  if ((flags & kUser) != 0) Text(body, connect.user);
  if ((flags & kPassword) != 0) Text(body, connect.password);
  Header(out, kConnect, 0, body.size());
  out += body;
}

void AppendPublish(MqttVersion version, uint16_t id, bool dup, std::string_view topic, std::string_view payload,
                   std::string& out) {
  const size_t properties = version == MqttVersion::k5 ? 1 : 0;
  Header(out, kPublish, static_cast<uint8_t>((dup ? 8U : 0U) | kQos1 << 1), 2 + topic.size() + 2 + properties + payload.size());
  Text(out, topic);
  Two(out, id);
  if (properties > 0) Length(out, 0);
  out += payload;
}

void AppendSubscribe(MqttVersion version, uint16_t id, std::string_view filter, std::string& out) {
  const size_t properties = version == MqttVersion::k5 ? 1 : 0;
  Header(out, kSubscribe, 2, 2 + properties + 2 + filter.size() + 1);
  Two(out, id);
  if (properties > 0) Length(out, 0);
  Text(out, filter);
  Byte(out, kQos1);
}

void AppendPuback(uint16_t id, std::string& out) {
  Header(out, kPuback, 0, 2);
  Two(out, id);
}

void AppendPingreq(std::string& out) { Header(out, kPingreq, 0, 0); }

void AppendDisconnectWithWill(std::string& out) {
  constexpr unsigned kWithWill = 0x04;
  constexpr size_t kExpiryBytes = 5;
  Header(out, kDisconnect, 0, 1 + 1 + kExpiryBytes);
  Byte(out, kWithWill);
  Length(out, kExpiryBytes);
  Byte(out, kSessionExpiry);
  Four(out, 0);
}

absl::StatusOr<size_t> ParseServerPacket(MqttVersion version, std::string_view bytes, ServerPacket& packet) {
  if (bytes.size() < 2) return 0;
  size_t remaining = 0;
  size_t at = 1;
  for (unsigned shift = 0;; shift += 7) {
    if (shift == 28) return absl::InvalidArgumentError("the server sent a packet whose length has five bytes");
    if (at == bytes.size()) return 0;
    const auto byte = static_cast<uint8_t>(bytes[at++]);
    remaining |= size_t{byte & 0x7FU} << shift;
    if (byte < 0x80) break;
  }
  if (bytes.size() - at < remaining) return 0;
  const auto first = static_cast<uint8_t>(bytes[0]);
  packet = ServerPacket{};
  packet.type = static_cast<ServerPacket::Type>(first >> 4);
  Reader in(bytes.substr(at, remaining));
  if (!ReadBody(version, first & 0x0FU, in, packet) || !in.ok() || !in.done()) {
    return absl::InvalidArgumentError(StrCat("the server sent a packet of type ", first >> 4, " that cannot be read"));
  }
  return at + remaining;
}

std::string MqttReasonText(MqttVersion version, const ServerPacket& packet) {
  static constexpr std::array<std::string_view, 6> k311 = {
      "accepted", "unacceptable protocol version", "identifier rejected", "server unavailable", "bad user name or password",
      "not authorised"};
  if (version == MqttVersion::k311) return std::string(packet.reason < k311.size() ? k311[packet.reason] : "refused");
  std::string_view name;
  switch (packet.reason) {
    case 0x00: name = "success"; break;
    case 0x81: name = "malformed packet"; break;
    case 0x82: name = "protocol error"; break;
    case 0x83: name = "implementation specific error"; break;
    case 0x86: name = "bad user name or password"; break;
    case 0x87: name = "not authorised"; break;
    case 0x88: name = "server unavailable"; break;
    case 0x89: name = "server busy"; break;
    case 0x8B: name = "server shutting down"; break;
    case 0x8D: name = "keep alive timeout"; break;
    case 0x8E: name = "session taken over"; break;
    case 0x90: name = "topic name invalid"; break;
    case 0x93: name = "receive maximum exceeded"; break;
    case 0x95: name = "packet too large"; break;
    case kMqttQuotaExceeded: name = "quota exceeded"; break;
    case 0x98: name = "administrative action"; break;
    case 0x99: name = "payload format invalid"; break;
    default: name = "reason"; break;
  }
  char code[16];
  std::snprintf(code, sizeof code, " (0x%02X)", packet.reason);
  return packet.text.empty() ? StrCat(name, code) : StrCat(name, code, ": ", packet.text);
}

}  // namespace sluice::sim
