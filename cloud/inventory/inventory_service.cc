#include "cloud/inventory/inventory_service.h"

#include "base/status.h"
#include "cloud/serving/grpc_status.h"
#include "cloud/serving/paging.h"

namespace sluice::inventory {
namespace {

constexpr store::Sql kList{
    "SELECT shop_id, product_id, level, updated_ms FROM stock_levels "
    "WHERE (? = '' OR shop_id = ?) AND (? = '' OR product_id = ?) AND (shop_id, product_id) > (?, ?) "
    "ORDER BY shop_id, product_id LIMIT ?",
    "ttttt" "ti", "ttii"};

}  // namespace

absl::Status GetStock(store::Store& store, const v1::GetStockRequest& request, v1::GetStockResponse& response) {
  // A product may have slashes, a shop has none: the first one parts them.
  ASSIGN_OR_RETURN(const std::string key, serving::PageKey(request.page_token()));
  const size_t slash = std::min(key.find('/'), key.size());
  const std::string shop = key.substr(0, slash);
  const std::string product = slash < key.size() ? key.substr(slash + 1) : "";
  const uint32_t size = serving::PageSize(request.page_size());
  return store.Read([&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(store::Statement * rows,
                     transaction.Query(kList, request.shop_id(), request.shop_id(), request.product_id(),
                                       request.product_id(), shop, product, size + 1));
    bool full = false;
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, rows->Next());
      if (!more) break;
      if (static_cast<uint32_t>(response.levels_size()) == size) {
        full = true;
        continue;   // there is another page; to the end of the rows
      }
      v1::StockLevel* out = response.add_levels();
      out->set_shop_id(std::string(rows->Text(0)));
      out->set_product_id(std::string(rows->Text(1)));
      out->set_level(rows->Int(2));
      out->set_updated_ms(rows->Int(3));
    }
    if (full) {
      const v1::StockLevel& last = response.levels(response.levels_size() - 1);
      response.set_next_page_token(serving::PageToken(StrCat(last.shop_id(), "/", last.product_id())));
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* InventoryService::GetStock(grpc::CallbackServerContext* context,
                                                     const v1::GetStockRequest* request,
                                                     v1::GetStockResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  grpc::Status status = authorize_(*context);
  if (status.ok()) status = serving::ToGrpc(inventory::GetStock(store_, *request, *response));
  reactor->Finish(status);
  return reactor;
}

}  // namespace sluice::inventory
