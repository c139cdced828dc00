// A profile, a line of dashes, serial bytes → profile reader, framing and line decoder.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "devices/lines/decode.h"
#include "devices/transport/framing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  constexpr std::string_view kSplit = "\n----\n";
  const size_t split = input.find(kSplit);
  const auto profile = sluice::lines::ParseProfile(input.substr(0, split), "fuzz.toml");
  if (!profile.ok()) {
    if (profile.status().message().empty()) std::abort();
    return 0;
  }
  if (split == std::string_view::npos) return 0;
  sluice::lines::LineDecoder decoder(*profile, profile->format == sluice::lines::LineFormat::kEvents ? "" : "dev");
  sluice::transport::Framer framer(profile->framing);
  std::vector<sluice::transport::Frame> frames;
  int64_t now_ms = 0;
  std::string_view bytes = input.substr(split + kSplit.size());
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, 16);
    bytes.remove_prefix(part.size());
    framer.Feed(part, now_ms += 7, &frames);
  }
  framer.Tick(now_ms + 100'000, &frames);
  for (const auto& frame : frames) {
    if (frame.bytes.size() > profile->framing.max_length) std::abort();
    if (!frame.status.ok()) continue;
    const auto event = decoder.Decode(frame.bytes, now_ms += 100);
    if (!event.ok() || !event->has_value()) continue;
    std::string encoded;
    sluice::event::v1::DeviceEvent again;
    if (!(*event)->event.SerializeToString(&encoded) || !again.ParseFromString(encoded)) std::abort();
  }
  return 0;
}
