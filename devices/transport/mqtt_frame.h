// Bytes of a connection → control packets' frames, without copying. Pure.
//
// Fixed header: MQTT 3.1.1 and 5.0, 2.1 (2.2 in 3.1.1); remaining length 2.1.4 and 1.5.5 (2.2.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "devices/transport/mqtt_fault.h"
#include "devices/transport/mqtt_reason.h"

namespace sluice::transport {

enum class MqttType : uint8_t {
  kConnect = 1,
  kConnack,
  kPublish,
  kPuback,
  kPubrec,
  kPubrel,
  kPubcomp,
  kSubscribe,
  kSuback,
  kUnsubscribe,
  kUnsuback,
  kPingreq,
  kPingresp,
  kDisconnect,
  kAuth,   // 5.0 only
};
const char* MqttTypeName(MqttType type);   // "PUBLISH"

inline constexpr size_t kMqttMaxRemaining = 268'435'455;
inline constexpr size_t kMqttMaxPacket = kMqttMaxRemaining + 5;

struct MqttFrame {
  MqttType type = MqttType::kConnect;
  uint8_t flags = 0;            // the low four bits of the first byte
  bool shortest = true;         // the remaining length took no more bytes than it needs (a CONNECT's is judged by its level)
  size_t header_size = 0;       // 2–5
  std::string_view body;        // remaining length bytes; a view into what was searched
  size_t size() const { return header_size + body.size(); }
};

enum class MqttFraming { kWhole, kMore, kFault };

// Looks for one frame at the beginning of `bytes`.
// kWhole: *frame is set, the next one begins at frame->size().
// kMore: incomplete; *need is how many bytes from the beginning are wanted before another call is worth while (> bytes.size()).
// kFault: *fault says why, as soon as the bytes seen suffice: a packet type that is none (at the level), reserved flags,
// remaining length too long or needlessly long, a packet larger than max_packet (before its body arrives; then *frame has
// type, flags and header_size, and *need is the packet's size).
MqttFraming FindMqttFrame(std::string_view bytes, MqttLevel level, size_t max_packet, MqttFrame* frame, size_t* need,
                          MqttFault* fault);

}  // namespace sluice::transport
