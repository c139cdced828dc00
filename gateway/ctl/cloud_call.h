// What every command that lists something of a service shares: deadline, explanation of failures, pages, JSON or a table.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status.h"
#include "gateway/ctl/cloud_target.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/session.h"

namespace google::protobuf {
class Message;
}

namespace sluice::ctl {

inline constexpr std::chrono::seconds kCloudTimeout{5};
inline constexpr uint32_t kPageSize = 1000;   // the most that the services give

// With the service's name and address, and what to do where we know it.
absl::Status ExplainCloud(const grpc::Status& status, const Service& service);

// Asks page by page for the rows of a list, to its end or to `limit` rows (0: all): one response with them all.
// `call(context, request, response)`; `rows`: the response's list, as &ListDevicesResponse::mutable_devices.
template <typename Response, typename Request, typename Rows, typename Call>
absl::StatusOr<Response> CollectPages(Request request, const Service& service, uint64_t limit, Rows* (Response::*rows)(),
                                      Call call) {
  request.set_page_size(kPageSize);
  Response all;
  for (;;) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCloudTimeout);
    Response response;
    RETURN_IF_ERROR(ExplainCloud(call(&context, request, &response), service));
    for (auto& row : *(response.*rows)()) {
      if (limit != 0 && static_cast<uint64_t>((all.*rows)()->size()) == limit) return all;
      *(all.*rows)()->Add() = std::move(row);
    }
    std::string next = std::move(*response.mutable_next_page_token());
    if (next.empty()) return all;
    if (next == request.page_token()) {
      return absl::InternalError(StrCat(service.name, " gives the same page again and again"));
    }
    request.set_page_token(std::move(next));
  }
}

// The whole list as one JSON object where the session wants that, else `table`, or `none` where it has no row.
int ShowList(const Session& session, const google::protobuf::Message& all, const Table& table, std::string_view none);

}  // namespace sluice::ctl
