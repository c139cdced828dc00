// The inventory service's read methods (sluice.inventory.v1.InventoryService).
#pragma once

#include <functional>

#include "cloud/store/store.h"
#include "sluice/inventory/v1/inventory.grpc.pb.h"

namespace sluice::inventory {

// Levels in order of shop and product. Thread-safe.
class InventoryService final : public v1::InventoryService::CallbackService {
 public:
  using Authorize = std::function<grpc::Status(const grpc::CallbackServerContext&)>;

  // `store` outlives it.
  InventoryService(store::Store& store, Authorize authorize) : store_(store), authorize_(std::move(authorize)) {}

  grpc::ServerUnaryReactor* GetStock(grpc::CallbackServerContext* context, const v1::GetStockRequest* request,
                                     v1::GetStockResponse* response) override;

 private:
  store::Store& store_;
  const Authorize authorize_;
};

// The method without the transport. InvalidArgument: a page token that is none.
absl::Status GetStock(store::Store& store, const v1::GetStockRequest& request, v1::GetStockResponse& response);

}  // namespace sluice::inventory
