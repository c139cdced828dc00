#include "devices/sim/family.h"

#include <array>

namespace sluice::sim {
namespace {

constexpr std::array<std::string_view, 9> kNames = {"status", "telemetry",   "alarm",        "sale", "refill",
                                                    "stock-count", "price-change", "punch", "break"};

}  // namespace

std::string_view KindName(Kind kind) { return kNames[static_cast<size_t>(kind)]; }

bool KindFromName(std::string_view name, Kind& kind) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] != name) continue;
    kind = static_cast<Kind>(i);
    return true;
  }
  return false;
}

}  // namespace sluice::sim
