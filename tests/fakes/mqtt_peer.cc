#include "tests/fakes/mqtt_peer.h"

namespace sluice::fakes {

using namespace transport;   // NOLINT: the codec's names throughout

std::optional<MqttConnack> MqttPeer::Connect(const PeerOptions& options) {
  level_ = options.level;
  MqttConnect connect;
  connect.level = options.level;
  connect.clean = options.clean;
  connect.keep_alive_s = options.keep_alive_s;
  connect.client_id = options.client_id;
  connect.has_user_name = !options.user_name.empty();
  connect.user_name = options.user_name;
  connect.has_password = !options.password.empty();
  connect.password = options.password;
  connect.has_will = !options.will_topic.empty();
  connect.will.topic = options.will_topic;
  connect.will.payload = options.will_payload;
  connect.will.qos = 1;
  if (options.will_delay_s > 0) connect.will.properties.SetNumber(MqttProperty::kWillDelayInterval, options.will_delay_s);
  if (options.session_expiry_s > 0) connect.properties.SetNumber(MqttProperty::kSessionExpiryInterval, options.session_expiry_s);
  if (!Send(connect)) return std::nullopt;
  return Expect<MqttConnack>();
}

bool MqttPeer::Publish(std::string_view topic, std::string_view payload, uint16_t packet_id, uint8_t qos, bool retain, bool dup) {
  MqttPublish publish;
  publish.topic = topic;
  publish.payload = payload;
  publish.packet_id = packet_id;
  publish.qos = qos;
  publish.retain = retain;
  publish.dup = dup;
  return Send(publish);
}

bool MqttPeer::Subscribe(std::string_view filter, uint16_t packet_id) {
  MqttSubscribe subscribe;
  subscribe.packet_id = packet_id;
  subscribe.subscriptions.push_back({.filter = filter, .qos = 1});
  return Send(subscribe);
}

bool MqttPeer::Ping() { return Send(MqttPing{}) && Expect<MqttPing>().has_value(); }

std::optional<MqttPacket> MqttPeer::Receive(int limit_ms) {
  received_.erase(0, used_);
  used_ = 0;
  for (;;) {
    MqttFrame frame;
    MqttFault fault;
    size_t need = 0;
    switch (FindMqttFrame(received_, level_, kMqttMaxPacket, &frame, &need, &fault)) {
      case MqttFraming::kWhole: {
        MqttPacket packet;
        used_ = frame.size();
        if (!DecodeMqtt(frame, level_, MqttSender::kServer, &packet, &fault)) return std::nullopt;
        return packet;
      }
      case MqttFraming::kFault: return std::nullopt;
      case MqttFraming::kMore: break;
    }
    const std::string more = net.Receive(limit_ms);
    if (more.empty()) return std::nullopt;
    received_ += more;
  }
}

uint16_t MqttPeer::ExpectPuback(int limit_ms) {
  const auto ack = Expect<MqttAck>(limit_ms);
  return ack && ack->type == MqttType::kPuback ? ack->packet_id : 0;
}

bool MqttPeer::Silent(int ms) { return received_.size() == used_ && net.Silent(ms); }

}  // namespace sluice::fakes
