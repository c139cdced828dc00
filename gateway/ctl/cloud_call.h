// What every unary call to the cloud shares: deadline, explanation of failures, pages.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "base/status.h"
#include "gateway/ctl/cloud_target.h"

namespace sluice::ctl {

inline constexpr std::chrono::seconds kCloudTimeout{5};
inline constexpr uint32_t kPageSize = 1000;   // the most that the services give

// With the service's name and address, and what to do where we know it.
absl::Status ExplainCloud(const grpc::Status& status, const Service& service);

// Asks page by page until the last, or until `take` says that it has enough (false). `call(context, request, response)`.
template <typename Request, typename Response, typename Call, typename Take>
absl::Status ForEachPage(Request request, const Service& service, Call call, Take take) {
  request.set_page_size(kPageSize);
  for (;;) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCloudTimeout);
    Response response;
    RETURN_IF_ERROR(ExplainCloud(call(&context, request, &response), service));
    std::string next = std::move(*response.mutable_next_page_token());
    if (!take(std::move(response)) || next.empty()) return absl::OkStatus();
    if (next == request.page_token()) {
      return absl::InternalError(StrCat(service.name, " gives the same page again and again"));
    }
    request.set_page_token(std::move(next));
  }
}

}  // namespace sluice::ctl
