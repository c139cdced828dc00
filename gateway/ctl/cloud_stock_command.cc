#include "gateway/ctl/cloud_stock_command.h"

#include <grpcpp/grpcpp.h>

#include <nlohmann/json.hpp>

#include "gateway/ctl/cloud_call.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"
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
  inventory::v1::GetStockResponse all;
  const absl::Status status = ForEachPage<inventory::v1::GetStockRequest, inventory::v1::GetStockResponse>(
      request, service, [&](auto... arguments) { return stub->GetStock(arguments...); },
      [&](inventory::v1::GetStockResponse page) {
        for (auto& level : *page.mutable_levels()) {
          if (limit != 0 && static_cast<uint64_t>(all.levels_size()) == limit) return false;
          *all.add_levels() = std::move(level);
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
  Table table({{"SHOP"}, {"PRODUCT"}, {"LEVEL", Table::Align::kRight}, {"UPDATED"}});
  for (const auto& level : all.levels()) {
    table.Add({level.shop_id(), level.product_id(), StrCat(level.level()), LocalTime(level.updated_ms())});
  }
  session.out << (table.empty() ? "no stock\n" : table.ToString());
  return kOk;
}

}  // namespace sluice::ctl
