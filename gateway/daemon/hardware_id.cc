#include "gateway/daemon/hardware_id.h"

#include <algorithm>

#include "base/file.h"
#include "base/item.h"
#include "base/status.h"
#include "base/uuid.h"

namespace sluice::daemon {
namespace {

std::string Printable(std::string text) {
  std::erase_if(text, [](char c) { return c <= ' ' || c > '~'; });
  return text;
}

// Firmware that was never given a number says so in many ways.
bool Plausible(const std::string& id) {
  if (id.size() < 6) return false;
  return std::any_of(id.begin(), id.end(), [&](char c) { return c != id[0] && c != '-' && c != '0' && c != 'F'; });
}

}  // namespace

HardwareIdentity HardwareId(const std::string& configured, const std::string& state_folder, Random& random) {
  if (!configured.empty()) return {.id = StrCat("configured:", configured)};
  const std::pair<const char*, const char*> sources[] = {
      {"serial:", "/proc/device-tree/serial-number"},
      {"dmi:", "/sys/class/dmi/id/product_uuid"},
      {"machine:", "/etc/machine-id"},
  };
  for (const auto& [prefix, path] : sources) {
    const auto content = ReadFile(path, 256);
    if (!content.ok()) continue;
    const std::string id = Printable(*content);
    if (Plausible(id)) return {prefix + id, absl::OkStatus()};
  }
  const std::string path = state_folder + "/hardware-id";
  if (const auto kept = ReadFile(path, 256); kept.ok() && Plausible(Printable(*kept))) {
    return {Printable(*kept), absl::OkStatus()};
  }
  Id128 id;
  random.Fill(id.bytes);
  const std::string made = "random:" + id.ToHex();
  return {made, WriteFileAtomically(path, made)};
}

}  // namespace sluice::daemon
