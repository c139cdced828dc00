#include "gateway/ctl/devices_command.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/status.h"
#include "gateway/ctl/ctl_client.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"

namespace sluice::ctl {

std::string FormatDevices(const pb::ListDevicesResponse& devices, int64_t now_ms) {
  if (devices.devices_size() == 0) return "no device has been heard yet\n";
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"DEVICE"}, {"STATE"}, {"LAST SEEN"}, {"AGO", kRight}, {"ACCEPTED", kRight}, {"DUPLICATES", kRight},
               {"REJECTED", kRight}, {"LATE", kRight}, {"BOOT", kRight}, {"LAST SEQ", kRight}, {"SOURCE"}});
  for (const auto& device : devices.devices()) {
    const bool numbered = device.boot() != 0 || device.last_seq() != 0;
    table.Add({device.device_id(), device.state(), LocalTime(device.last_seen_ms()),
               device.last_seen_ms() != 0 ? Duration(now_ms - device.last_seen_ms()) : "", StrCat(device.accepted()),
               StrCat(device.duplicates()), StrCat(device.rejected()), StrCat(device.late()),
               numbered ? StrCat(device.boot()) : "", numbered ? StrCat(device.last_seq()) : "", device.source()});
  }
  return table.ToString();
}

int RunDevices(const Session& session) {
  auto client = CtlClient::Connect(session.socket_path);
  if (!client.ok()) return Fail(session, client.status());
  auto devices = (*client)->ListDevices();
  if (!devices.ok()) return Fail(session, devices.status());
  if (session.json) {
    session.out << Dump(ToJson(*devices)) << '\n';
  } else {
    session.out << FormatDevices(*devices, SystemClock().WallMs());
  }
  return kOk;
}

}  // namespace sluice::ctl
