// Topic, a line break, payload → the native decoder. Whatever comes out must be an event that protobuf can carry.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "devices/native/decode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t split = input.find('\n');
  if (split == std::string_view::npos) return 0;
  sluice::devices::JsonEventFacts facts;
  const auto decoded = sluice::native::Decode(input.substr(0, split), input.substr(split + 1), &facts);
  if (!decoded.ok()) {
    if (decoded.status().code() != absl::StatusCode::kInvalidArgument || decoded.status().message().empty()) std::abort();
    return 0;
  }
  const auto& event = decoded->event;
  std::string bytes;
  sluice::event::v1::DeviceEvent again;
  if (!event.SerializeToString(&bytes) || !again.ParseFromString(bytes)) std::abort();   // texts must be UTF-8
  if (event.body_case() == sluice::event::v1::DeviceEvent::BODY_NOT_SET) std::abort();
  if (!sluice::devices::IsDeviceName(event.device_id())) std::abort();
  if (event.has_sequence() && (event.sequence().seq() == 0 || event.sequence().seq() != facts.numbering.seq)) std::abort();
  return 0;
}
