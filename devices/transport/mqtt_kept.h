// A PUBLISH that outlives the bytes it came in: queued, retained, waiting for room, or a will.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "devices/transport/mqtt_packet.h"

namespace sluice::transport {

inline constexpr int64_t kMqttNever = std::numeric_limits<int64_t>::max();

class MqttKept {
 public:
  // `publish` must have its whole topic; a topic alias, a packet id and DUP are not kept. Its message expiry interval counts
  // from now_ms. `publisher`: the client id of who published it; empty: the host. Null where it is nothing that a client may be sent: never for what a client sent.
  static std::shared_ptr<const MqttKept> Make(const MqttPublish& publish, std::string_view publisher, int64_t now_ms);
  MqttKept(const MqttKept&) = delete;
  MqttKept& operator=(const MqttKept&) = delete;

  const MqttPublish& publish() const { return publish_; }
  const std::string& publisher() const { return publisher_; }
  bool expired(int64_t now_ms) const { return now_ms >= expires_ms_; }
  size_t bytes() const { return BytesOf(wire_.size() + publisher_.size()); }   // of memory, about
  static size_t BytesOf(size_t packet_bytes) { return packet_bytes + sizeof(MqttKept); }
  // Copies into *publish, with what is left of the message expiry interval (5.0, 3.3.2.3.3), rounded up; 0 when it is over.
  void CopyTo(MqttPublish* publish, int64_t now_ms) const;

 private:
  MqttKept() = default;

  std::string publisher_;
  std::string wire_;       // encoded as a 5.0 packet, whatever the level was
  MqttPublish publish_;    // views into it
  int64_t expires_ms_ = kMqttNever;
};

}  // namespace sluice::transport
