#include "gateway/ctl/cloud_devices_command.h"

#include <grpcpp/grpcpp.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "gateway/ctl/cloud_call.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"
#include "sluice/shop/v1/shop.grpc.pb.h"

namespace sluice::ctl {

int RunCloudDevices(const Session& session, const CloudTarget& target, const std::string& shop_id, uint64_t limit) {
  const Service service{"shop", target.shop};
  auto channel = MakeCloudChannel(target, service);
  if (!channel.ok()) return Fail(session, channel.status());
  const auto stub = shop::v1::ShopService::NewStub(*channel);
  shop::v1::ListDevicesRequest request;
  request.set_shop_id(shop_id);
  shop::v1::ListDevicesResponse all;
  const absl::Status status = ForEachPage<shop::v1::ListDevicesRequest, shop::v1::ListDevicesResponse>(
      request, service, [&](auto... arguments) { return stub->ListDevices(arguments...); },
      [&](shop::v1::ListDevicesResponse page) {
        for (auto& device : *page.mutable_devices()) {
          if (limit != 0 && static_cast<uint64_t>(all.devices_size()) == limit) return false;
          *all.add_devices() = std::move(device);
        }
        return true;
      });
  if (!status.ok()) return Fail(session, status);

  if (session.json) {
    auto json = ToJson(all);
    json.erase("next_page_token");
    session.out << Dump(json) << '\n';
    return kOk;
  }
  const int64_t now_ms = SystemClock().WallMs();
  Table table({{"SHOP"}, {"DEVICE"}, {"STATUS"}, {"LAST SEEN"}, {"AGO", Table::Align::kRight}, {"GATEWAY"}, {"TEXT"}});
  for (const auto& device : all.devices()) {
    table.Add({device.shop_id(), device.device_id(), device.status(), LocalTime(device.last_seen_ms()),
               device.last_seen_ms() != 0 ? Duration(now_ms - device.last_seen_ms()) : "", device.gateway_id(),
               device.status_text()});
  }
  session.out << (table.empty() ? "no devices\n" : table.ToString());
  return kOk;
}

}  // namespace sluice::ctl
