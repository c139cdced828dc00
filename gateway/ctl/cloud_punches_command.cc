#include "gateway/ctl/cloud_punches_command.h"

#include <grpcpp/grpcpp.h>

#include "gateway/ctl/cloud_call.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_time.h"
#include "sluice/attendance/v1/attendance.grpc.pb.h"

namespace sluice::ctl {

int RunCloudPunches(const Session& session, const CloudTarget& target, const std::string& shop_id,
                    const std::string& employee_id, uint64_t limit) {
  const Service service{"attendance", target.attendance};
  auto channel = MakeCloudChannel(target, service);
  if (!channel.ok()) return Fail(session, channel.status());
  const auto stub = attendance::v1::AttendanceService::NewStub(*channel);
  attendance::v1::ListPunchesRequest request;
  request.set_shop_id(shop_id);
  request.set_employee_id(employee_id);
  const auto all = CollectPages(request, service, limit, &attendance::v1::ListPunchesResponse::mutable_punches,
                                [&](auto... arguments) { return stub->ListPunches(arguments...); });
  if (!all.ok()) return Fail(session, all.status());

  Table table({{"TIME"}, {"SHOP"}, {"EMPLOYEE"}, {"KIND"}, {"VERIFIED BY"}, {"DEVICE"}});
  for (const auto& punch : all->punches()) {
    table.Add({LocalTime(punch.time_ms()), punch.shop_id(), punch.employee_id(), punch.kind(), punch.verified_by(),
               punch.device_id()});
  }
  return ShowList(session, *all, table, "no punches");
}

}  // namespace sluice::ctl
