#include "gateway/ctl/cloud_call.h"

#include <nlohmann/json.hpp>

#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/message_json.h"

namespace sluice::ctl {

absl::Status ExplainCloud(const grpc::Status& status, const Service& service) {
  if (status.ok()) return absl::OkStatus();
  const std::string who = StrCat(service.name, " at ", service.address);
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return absl::UnavailableError(StrCat(
          "cannot reach ", who, ": ", status.error_message(),
          "\nDoes sluice-cloud run there? A handshake that fails looks the same: the service's certificate must chain to "
          "--ca and carry the name that was dialled (or --server-name), ours must be known to the service"));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return absl::DeadlineExceededError(StrCat(who, " does not answer in ", kCloudTimeout.count(), " s"));
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return absl::PermissionDeniedError(StrCat(who, " refuses us: ", status.error_message(),
                                                "\nThis needs an operator's certificate (--cert, --key)"));
    case grpc::StatusCode::UNIMPLEMENTED:
      return absl::UnimplementedError(StrCat(who, " does not offer this; is it the right service's address?"));
    default:
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()), StrCat(who, ": ", status.error_message()));
  }
}

int ShowList(const Session& session, const google::protobuf::Message& all, const Table& table, std::string_view none) {
  if (session.json) {
    auto json = ToJson(all);
    json.erase("next_page_token");
    session.out << Dump(json) << '\n';
  } else {
    session.out << (table.empty() ? StrCat(none, "\n") : table.ToString());
  }
  return kOk;
}

}  // namespace sluice::ctl
