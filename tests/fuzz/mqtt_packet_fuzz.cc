// One byte of choices (level, who sends), then bytes of a connection → frames and packets. What is accepted can be written, and
// says the same again; a prefix says nothing else than the whole.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "devices/transport/mqtt_packet.h"

namespace {

using namespace sluice::transport;   // NOLINT(google-build-using-namespace): a program of one file

constexpr size_t kMaxPacket = 64u << 10;

void Check(bool good) {
  if (!good) std::abort();
}

void CheckFault(const MqttFault& fault) {
  Check(static_cast<bool>(fault) && IsFailure(fault.reason) && *fault.what != '\0' && *fault.packet != '\0');
  Check(fault.Text().size() > 10);
}

// Written, read and written again it is the same.
void CheckAgain(const MqttPacket& packet, MqttLevel level, MqttSender sender) {
  std::string once, twice;
  Check(EncodeMqtt(packet, level, &once) == once.size() && !once.empty());
  MqttFrame frame;
  MqttFault fault;
  MqttPacket read;
  size_t need = 0;
  Check(FindMqttFrame(once, level, kMqttMaxPacket, &frame, &need, &fault) == MqttFraming::kWhole);
  Check(frame.size() == once.size());
  Check(DecodeMqtt(frame, level, sender, &read, &fault));
  EncodeMqtt(read, level, &twice);
  Check(once == twice);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  constexpr MqttLevel kLevels[] = {MqttLevel::kUnknown, MqttLevel::k311, MqttLevel::k5, MqttLevel::k5};
  const MqttLevel level = kLevels[data[0] & 3];
  const MqttSender sender = (data[0] & 4) != 0 ? MqttSender::kServer : MqttSender::kClient;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  MqttPacket packet;
  for (;;) {
    MqttFrame frame, part_frame;
    MqttFault fault, part_fault;
    size_t need = 0, part_need = 0;
    const MqttFraming framing = FindMqttFrame(bytes, level, kMaxPacket, &frame, &need, &fault);
    // Every prefix of the first few bytes: more is wanted, or it is what the whole says.
    for (size_t length = 0; length < bytes.size() && length < 8; ++length) {
      const MqttFraming part = FindMqttFrame(bytes.substr(0, length), level, kMaxPacket, &part_frame, &part_need, &part_fault);
      if (part == MqttFraming::kMore) {
        Check(part_need > length);
      } else {
        Check(part == framing);
        if (part == MqttFraming::kFault) Check(part_fault.Text() == fault.Text());
        if (part == MqttFraming::kWhole) Check(part_frame.size() == frame.size());
      }
    }
    if (framing == MqttFraming::kMore) {
      Check(need > bytes.size() && need <= kMaxPacket);
      return 0;
    }
    if (framing == MqttFraming::kFault) {
      CheckFault(fault);
      return 0;
    }
    Check(frame.size() <= bytes.size() && frame.size() <= kMaxPacket);
    if (!DecodeMqtt(frame, level, sender, &packet, &fault)) {
      CheckFault(fault);
      Check(fault.offset <= frame.size());
      return 0;
    }
    CheckAgain(packet, level, sender);
    bytes.remove_prefix(frame.size());
  }
}
