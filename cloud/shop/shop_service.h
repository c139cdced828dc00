// The shop service's read methods (sluice.shop.v1.ShopService).
#pragma once

#include <functional>

#include "cloud/store/store.h"
#include "sluice/shop/v1/shop.grpc.pb.h"

namespace sluice::shop {

// Devices in order of shop and device id. Thread-safe.
class ShopService final : public v1::ShopService::CallbackService {
 public:
  using Authorize = std::function<grpc::Status(const grpc::CallbackServerContext&)>;

  // `store` outlives it.
  ShopService(store::Store& store, Authorize authorize) : store_(store), authorize_(std::move(authorize)) {}

  grpc::ServerUnaryReactor* ListDevices(grpc::CallbackServerContext* context, const v1::ListDevicesRequest* request,
                                        v1::ListDevicesResponse* response) override;

 private:
  store::Store& store_;
  const Authorize authorize_;
};

// The method without the transport. InvalidArgument: a page token that is none.
absl::Status ListDevices(store::Store& store, const v1::ListDevicesRequest& request,
                         v1::ListDevicesResponse& response);

}  // namespace sluice::shop
