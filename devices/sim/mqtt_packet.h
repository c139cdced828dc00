// MQTT 3.1.1 and 5.0 packets as a publishing device needs them: QoS 1, one subscription. Written for the simulator alone; it
// shares nothing with the gateway's side of the wire. Sections are of MQTT Version 5.0 (OASIS, 2019). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sluice::sim {

// The protocol level as CONNECT carries it.
enum class MqttVersion : uint8_t { k311 = 4, k5 = 5 };

// A PUBACK or CONNACK code from here on means failure (2.4).
inline constexpr uint8_t kMqttFailure = 0x80;
inline constexpr uint8_t kMqttQuotaExceeded = 0x97;
inline constexpr uint8_t kMqttNoMatchingSubscribers = 0x10;  // 5.0; of a PUBACK that does not say no

struct ConnectPacket {
  MqttVersion version = MqttVersion::k5;
  std::string_view client_id;
  std::string_view user, password;  // empty user: neither is sent
  bool clean = true;                // clean start; at 3.1.1 clean session
  uint32_t session_expiry_s = 0;    // 5.0
  uint16_t keepalive_s = 30;
  std::string_view will_topic, will_payload;  // QoS 1, not retained
};

// Each appends one packet.
void AppendConnect(const ConnectPacket& connect, std::string& out);
void AppendPublish(MqttVersion version, uint16_t id, bool dup, std::string_view topic, std::string_view payload,
                   std::string& out);
void AppendSubscribe(MqttVersion version, uint16_t id, std::string_view filter, std::string& out);
void AppendPuback(uint16_t id, std::string& out);
void AppendPingreq(std::string& out);
// 5.0 only: a device of 3.1.1 that wants its will published just goes. The session ends with it.
void AppendDisconnectWithWill(std::string& out);

// What a server says.
struct ServerPacket {
  enum class Type : uint8_t { kConnack = 2, kPublish = 3, kPuback = 4, kSuback = 9, kPingresp = 13, kDisconnect = 14 };
  Type type = Type::kPingresp;
  uint8_t reason = 0;                // CONNACK, PUBACK, SUBACK (of its one filter), DISCONNECT
  uint16_t id = 0;                   // PUBACK, SUBACK, PUBLISH at QoS 1
  uint8_t qos = 0;                   // PUBLISH
  std::string_view topic, payload;   // PUBLISH; views into the bytes
  std::string_view text;             // reason string, 5.0
  bool session_present = false;      // CONNACK, as the next two
  uint16_t receive_maximum = 65535;  // how many publishes may be unacknowledged
  uint16_t server_keepalive_s = 0;   // 0: as the client said
};

// Takes one packet from the front of `bytes`: its size, or 0 while it is incomplete. InvalidArgument on what no server may
// send a device.
absl::StatusOr<size_t> ParseServerPacket(MqttVersion version, std::string_view bytes, ServerPacket& packet);

// "not authorised (0x87)"; for people.
std::string MqttReasonText(MqttVersion version, const ServerPacket& packet);

}  // namespace sluice::sim
