#include "gateway/intake/snapshot_row.h"

#include "base/strings.h"
#include "gateway/intake/validate.h"

namespace sluice::intake {

std::string RowKey(std::string_view gateway, std::string_view device) { return StrCat("device/", gateway, "/", device); }

std::optional<std::string> DeviceOfRow(std::string_view gateway, std::string_view key) {
  const std::string prefix = RowKey(gateway, "");
  if (!key.starts_with(prefix) || !IsDeviceId(key.substr(prefix.size()))) return std::nullopt;
  return std::string(key.substr(prefix.size()));
}

}  // namespace sluice::intake
