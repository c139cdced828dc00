// An MQTT client that does exactly what a test tells it, on the product's codec: no automatic answers, no reconnects.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "devices/transport/mqtt_packet.h"
#include "tests/fakes/net_client.h"

namespace sluice::fakes {

struct PeerOptions {
  transport::MqttLevel level = transport::MqttLevel::k5;
  std::string client_id = "c1";
  bool clean = true;
  uint16_t keep_alive_s = 60;
  std::string user_name, password;    // empty: none
  std::string will_topic, will_payload;
  uint32_t will_delay_s = 0;          // 5.0
  uint32_t session_expiry_s = 0;      // 5.0
};

// For one thread.
class MqttPeer {
 public:
  NetClient net;

  // Over `net`, which is connected. The server's answer; nothing: it closed.
  std::optional<transport::MqttConnack> Connect(const PeerOptions& options);
  bool Publish(std::string_view topic, std::string_view payload, uint16_t packet_id, uint8_t qos = 1, bool retain = false,
               bool dup = false);
  bool Subscribe(std::string_view filter, uint16_t packet_id);   // at QoS 1
  bool Ping();
  template <typename Packet>
  bool Send(const Packet& packet) {
    std::string bytes;
    Encode(packet, &bytes);
    return net.Send(bytes);
  }

  // The next packet; its views last until the next call. Nothing: closed, or time is over (net.error()).
  std::optional<transport::MqttPacket> Receive(int limit_ms = NetClient::kLimitMs);
  // The next one, if it is of the type.
  template <typename Packet>
  std::optional<Packet> Expect(int limit_ms = NetClient::kLimitMs) {
    auto packet = Receive(limit_ms);
    if (!packet || !std::holds_alternative<Packet>(*packet)) return std::nullopt;
    return std::get<Packet>(*packet);
  }
  // The packet id of the PUBACK that comes next; 0: something else comes.
  uint16_t ExpectPuback(int limit_ms = NetClient::kLimitMs);
  // Nothing comes within the time.
  bool Silent(int ms);

 private:
  template <typename Packet>
  void Encode(const Packet& packet, std::string* bytes) const {
    transport::EncodeMqtt(transport::MqttPacket(packet), level_, bytes);
  }

  transport::MqttLevel level_ = transport::MqttLevel::k5;
  std::string received_;
  size_t used_ = 0;   // of it, by the packet handed out last
};

}  // namespace sluice::fakes
