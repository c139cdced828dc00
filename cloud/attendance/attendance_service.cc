#include "cloud/attendance/attendance_service.h"

#include "absl/strings/numbers.h"
#include "base/status.h"
#include "cloud/serving/grpc_status.h"
#include "cloud/serving/paging.h"

namespace sluice::attendance {
namespace {

constexpr store::Sql kList{
    "SELECT position, employee, device_id, shop_id, time_ms, kind, verified_by FROM punches "
    "WHERE position > ? AND (? = '' OR shop_id = ?) AND (? = '' OR employee = ?) ORDER BY position LIMIT ?",
    "itttti", "itttitt"};

}  // namespace

absl::Status ListPunches(store::Store& store, const v1::ListPunchesRequest& request,
                         v1::ListPunchesResponse& response) {
  ASSIGN_OR_RETURN(const std::string key, serving::PageKey(request.page_token()));
  int64_t after = 0;
  if (!key.empty() && (!absl::SimpleAtoi(key, &after) || after < 0)) {
    return absl::InvalidArgumentError("page_token: not one that this method gave");
  }
  const uint32_t size = serving::PageSize(request.page_size());
  return store.Read([&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(store::Statement * rows,
                     transaction.Query(kList, after, request.shop_id(), request.shop_id(), request.employee_id(),
                                       request.employee_id(), size + 1));
    int64_t last = after;
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, rows->Next());
      if (!more) return absl::OkStatus();
      if (static_cast<uint32_t>(response.punches_size()) == size) {
        response.set_next_page_token(serving::PageToken(StrCat(last)));
        continue;   // to the end of the rows
      }
      last = rows->Int(0);
      v1::Punch* out = response.add_punches();
      out->set_employee_id(std::string(rows->Text(1)));
      out->set_device_id(std::string(rows->Text(2)));
      out->set_shop_id(std::string(rows->Text(3)));
      out->set_time_ms(rows->Int(4));
      out->set_kind(std::string(rows->Text(5)));
      out->set_verified_by(std::string(rows->Text(6)));
    }
  });
}

grpc::ServerUnaryReactor* AttendanceService::ListPunches(grpc::CallbackServerContext* context,
                                                         const v1::ListPunchesRequest* request,
                                                         v1::ListPunchesResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  grpc::Status status = authorize_(*context);
  if (status.ok()) status = serving::ToGrpc(attendance::ListPunches(store_, *request, *response));
  reactor->Finish(status);
  return reactor;
}

}  // namespace sluice::attendance
