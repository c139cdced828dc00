// Who may call what: gateways their own stream, services and operators the read methods, operators alone what changes
// something; never by metadata or body.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cloud/serving/identity.h"

namespace grpc {
class ServerContextBase;
class Status;
}  // namespace grpc

namespace sluice::serving {

// The caller's identity, or Unauthenticated.
absl::StatusOr<Identity> CallerOf(const grpc::ServerContextBase& context, const std::string& trust_domain);

// The gateway that calls; PermissionDenied for anybody else.
absl::StatusOr<Identity> RequireGateway(const grpc::ServerContextBase& context, const std::string& trust_domain);

// The operator who calls; PermissionDenied for anybody else.
absl::StatusOr<Identity> RequireOperator(const grpc::ServerContextBase& context, const std::string& trust_domain);

// OK for services and operators; PERMISSION_DENIED for gateways.
grpc::Status RequireReader(const grpc::ServerContextBase& context, const std::string& trust_domain);

}  // namespace sluice::serving
