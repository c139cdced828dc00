// The attendance service's read methods (sluice.attendance.v1.AttendanceService).
#pragma once

#include <functional>

#include "cloud/store/store.h"
#include "sluice/attendance/v1/attendance.grpc.pb.h"

namespace sluice::attendance {

// Punches in the order of application. Thread-safe.
class AttendanceService final : public v1::AttendanceService::CallbackService {
 public:
  using Authorize = std::function<grpc::Status(const grpc::CallbackServerContext&)>;

  // `store` outlives it.
  AttendanceService(store::Store& store, Authorize authorize) : store_(store), authorize_(std::move(authorize)) {}

  grpc::ServerUnaryReactor* ListPunches(grpc::CallbackServerContext* context, const v1::ListPunchesRequest* request,
                                        v1::ListPunchesResponse* response) override;

 private:
  store::Store& store_;
  const Authorize authorize_;
};

// The method without the transport. InvalidArgument: a page token that is none.
absl::Status ListPunches(store::Store& store, const v1::ListPunchesRequest& request,
                         v1::ListPunchesResponse& response);

}  // namespace sluice::attendance
