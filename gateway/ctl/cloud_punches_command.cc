#include "gateway/ctl/cloud_punches_command.h"

#include <grpcpp/grpcpp.h>

#include <nlohmann/json.hpp>

#include "gateway/ctl/cloud_call.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/format_time.h"
#include "gateway/ctl/message_json.h"
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
  attendance::v1::ListPunchesResponse all;
  const absl::Status status = ForEachPage<attendance::v1::ListPunchesRequest, attendance::v1::ListPunchesResponse>(
      request, service, [&](auto... arguments) { return stub->ListPunches(arguments...); },
      [&](attendance::v1::ListPunchesResponse page) {
        for (auto& punch : *page.mutable_punches()) {
          if (limit != 0 && static_cast<uint64_t>(all.punches_size()) == limit) return false;
          *all.add_punches() = std::move(punch);
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
  Table table({{"TIME"}, {"SHOP"}, {"EMPLOYEE"}, {"KIND"}, {"VERIFIED BY"}, {"DEVICE"}});
  for (const auto& punch : all.punches()) {
    table.Add({LocalTime(punch.time_ms()), punch.shop_id(), punch.employee_id(), punch.kind(), punch.verified_by(),
               punch.device_id()});
  }
  session.out << (table.empty() ? "no punches\n" : table.ToString());
  return kOk;
}

}  // namespace sluice::ctl
