// Our JSON reader against nlohmann's: the same verdict on any text, and the same events where it is good.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "devices/json_reader.h"
#include "tests/devices/json_recorder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  sluice::devices::JsonRecorder ours, theirs;
  const bool good = sluice::devices::ReadJson(text, ours);
  // nlohmann takes a NUL for the end, passes over a byte order mark, and takes any depth.
  if (text.find('\0') != std::string_view::npos || text.starts_with("\xEF\xBB\xBF") || ours.error == "nested too deep") return 0;
  if (good != nlohmann::json::sax_parse(text, &theirs) || (good && ours.told != theirs.told)) std::abort();
  return 0;
}
