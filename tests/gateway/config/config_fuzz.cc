// Any bytes as a configuration: either errors, or something that prints and reads back to the same.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "gateway/config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 16'384) return 0;
  const auto config = sluice::config::ParseConfig(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
  if (!config.ok()) return 0;
  const std::string printed = sluice::config::PrintConfig(*config);
  const auto again = sluice::config::ParseConfig(printed, "printed");
  if (!again.ok() || sluice::config::PrintConfig(*again) != printed) std::abort();
  return 0;
}
