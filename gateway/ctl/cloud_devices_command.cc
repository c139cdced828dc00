#include "gateway/ctl/cloud_devices_command.h"

#include <grpcpp/grpcpp.h>

#include "base/clock.h"
#include "gateway/ctl/cloud_call.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_time.h"
#include "sluice/shop/v1/shop.grpc.pb.h"

namespace sluice::ctl {

int RunCloudDevices(const Session& session, const CloudTarget& target, const std::string& shop_id, uint64_t limit) {
  const Service service{"shop", target.shop};
  auto channel = MakeCloudChannel(target, service);
  if (!channel.ok()) return Fail(session, channel.status());
  const auto stub = shop::v1::ShopService::NewStub(*channel);
  shop::v1::ListDevicesRequest request;
  request.set_shop_id(shop_id);
  const auto all = CollectPages(request, service, limit, &shop::v1::ListDevicesResponse::mutable_devices,
                                [&](auto... arguments) { return stub->ListDevices(arguments...); });
  if (!all.ok()) return Fail(session, all.status());

  const int64_t now_ms = SystemClock().WallMs();
  Table table({{"SHOP"}, {"DEVICE"}, {"STATUS"}, {"LAST SEEN"}, {"AGO", Table::Align::kRight}, {"GATEWAY"}, {"TEXT"}});
  for (const auto& device : all->devices()) {
    table.Add({device.shop_id(), device.device_id(), device.status(), LocalTime(device.last_seen_ms()),
               device.last_seen_ms() != 0 ? Duration(now_ms - device.last_seen_ms()) : "", device.gateway_id(),
               device.status_text()});
  }
  return ShowList(session, *all, table, "no devices");
}

}  // namespace sluice::ctl
