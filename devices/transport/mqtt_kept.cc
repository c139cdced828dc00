#include "devices/transport/mqtt_kept.h"

namespace sluice::transport {

std::shared_ptr<const MqttKept> MqttKept::Make(const MqttPublish& publish, std::string_view publisher,
                                              int64_t now_ms) {
  std::shared_ptr<MqttKept> kept(new MqttKept);
  kept->publisher_ = std::string(publisher);
  MqttPublish whole = publish;
  whole.dup = false;
  whole.packet_id = publish.qos > 0 ? 1 : 0;   // any that can be encoded
  whole.properties.Remove(MqttProperty::kTopicAlias);
  whole.properties.Remove(MqttProperty::kSubscriptionIdentifier);
  whole.properties.Remove(MqttProperty::kWillDelayInterval);
  MqttFrame frame;
  MqttFault fault;
  size_t need = 0;
  if (EncodeMqtt(whole, MqttLevel::k5, &kept->wire_) == 0 ||
      FindMqttFrame(kept->wire_, MqttLevel::k5, kMqttMaxPacket, &frame, &need, &fault) != MqttFraming::kWhole ||
      !DecodeMqtt(frame, MqttLevel::k5, MqttSender::kServer, &kept->publish_, &fault)) {
    return nullptr;
  }
  const MqttProperties& properties = kept->publish_.properties;
  if (properties.has(MqttProperty::kMessageExpiryInterval)) {
    kept->expires_ms_ = now_ms + int64_t{1000} * properties.number(MqttProperty::kMessageExpiryInterval, 0);
  }
  return kept;
}

void MqttKept::CopyTo(MqttPublish* publish, int64_t now_ms) const {
  *publish = publish_;
  if (expires_ms_ == kMqttNever) return;
  const int64_t left_ms = expired(now_ms) ? 0 : expires_ms_ - now_ms;
  publish->properties.SetNumber(MqttProperty::kMessageExpiryInterval, static_cast<uint32_t>((left_ms + 999) / 1000));
}

}  // namespace sluice::transport
