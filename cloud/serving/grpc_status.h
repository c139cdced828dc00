// absl::Status as gRPC's: the codes are the same.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "base/strings.h"

namespace sluice::serving {

inline grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(MessageOf(status))};
}

}  // namespace sluice::serving
