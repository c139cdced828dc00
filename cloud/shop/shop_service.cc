#include "cloud/shop/shop_service.h"

#include "base/status.h"
#include "cloud/serving/grpc_status.h"
#include "cloud/serving/paging.h"

namespace sluice::shop {
namespace {

constexpr store::Sql kList{
    "SELECT shop_id, device_id, gateway_id, status, last_seen_ms, status_text FROM devices "
    "WHERE (? = '' OR shop_id = ?) AND (shop_id, device_id) > (?, ?) ORDER BY shop_id, device_id LIMIT ?",
    "tttti", "ttttit"};

}  // namespace

absl::Status ListDevices(store::Store& store, const v1::ListDevicesRequest& request,
                         v1::ListDevicesResponse& response) {
  // Neither shop nor device ids have a slash.
  ASSIGN_OR_RETURN(const std::string key, serving::PageKey(request.page_token()));
  const size_t slash = std::min(key.find('/'), key.size());
  const std::string shop = key.substr(0, slash);
  const std::string device = slash < key.size() ? key.substr(slash + 1) : "";
  const uint32_t size = serving::PageSize(request.page_size());
  return store.Read([&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(store::Statement * rows,
                     transaction.Query(kList, request.shop_id(), request.shop_id(), shop, device, size + 1));
    bool full = false;
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, rows->Next());
      if (!more) break;
      if (static_cast<uint32_t>(response.devices_size()) == size) {
        full = true;
        continue;   // there is another page; to the end of the rows
      }
      v1::Device* out = response.add_devices();
      out->set_shop_id(std::string(rows->Text(0)));
      out->set_device_id(std::string(rows->Text(1)));
      out->set_gateway_id(std::string(rows->Text(2)));
      out->set_status(std::string(rows->Text(3)));
      out->set_last_seen_ms(rows->Int(4));
      out->set_status_text(std::string(rows->Text(5)));
    }
    if (full) {
      const v1::Device& last = response.devices(response.devices_size() - 1);
      response.set_next_page_token(serving::PageToken(StrCat(last.shop_id(), "/", last.device_id())));
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ShopService::ListDevices(grpc::CallbackServerContext* context,
                                                   const v1::ListDevicesRequest* request,
                                                   v1::ListDevicesResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  grpc::Status status = authorize_(*context);
  if (status.ok()) status = serving::ToGrpc(shop::ListDevices(store_, *request, *response));
  reactor->Finish(status);
  return reactor;
}

}  // namespace sluice::shop
