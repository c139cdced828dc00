// The names of the rows that hold a device's ranges from one run to the next.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::intake {

// "device/<gateway>/<device>". With the gateway in it, a box that is given another identity does not take that device's
// numbers for its own: what an earlier identity accepted is not sent by the new one (delivery rule R14).
std::string RowKey(std::string_view gateway, std::string_view device);
// The device, if the row is one of this gateway's and the name can be a device's.
std::optional<std::string> DeviceOfRow(std::string_view gateway, std::string_view key);

}  // namespace sluice::intake
