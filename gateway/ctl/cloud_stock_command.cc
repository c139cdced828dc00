#include "gateway/ctl/cloud_stock_command.h"

#include <grpcpp/grpcpp.h>

#include "gateway/ctl/cloud_call.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_time.h"
#include "sluice/inventory/v1/inventory.grpc.pb.h"

namespace sluice::ctl {

int RunCloudStock(const Session& session, const CloudTarget& target, const std::string& shop_id,
                  const std::string& product_id, uint64_t limit) {
  const Service service{"inventory", target.inventory};
  auto channel = MakeCloudChannel(target, service);
  if (!channel.ok()) return Fail(session, channel.status());
  const auto stub = inventory::v1::InventoryService::NewStub(*channel);
  inventory::v1::GetStockRequest request;
  request.set_shop_id(shop_id);
  request.set_product_id(product_id);
  const auto all = CollectPages(request, service, limit, &inventory::v1::GetStockResponse::mutable_levels,
                                [&](auto... arguments) { return stub->GetStock(arguments...); });
  if (!all.ok()) return Fail(session, all.status());

  Table table({{"SHOP"}, {"PRODUCT"}, {"LEVEL", Table::Align::kRight}, {"UPDATED"}});
  for (const auto& level : all->levels()) {
    table.Add({level.shop_id(), level.product_id(), StrCat(level.level()), LocalTime(level.updated_ms())});
  }
  return ShowList(session, *all, table, "no stock");
}

}  // namespace sluice::ctl
