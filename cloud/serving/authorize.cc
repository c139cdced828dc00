#include "cloud/serving/authorize.h"

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include "base/status.h"
#include "cloud/serving/grpc_status.h"

namespace sluice::serving {

absl::StatusOr<Identity> CallerOf(const grpc::ServerContextBase& context, const std::string& trust_domain) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return absl::UnauthenticatedError("no client certificate");
  std::vector<std::string> uris;
  // "peer_uri": GRPC_PEER_URI_PROPERTY_NAME of gRPC core, one for each URI SAN.
  for (const grpc::string_ref& uri : auth->FindPropertyValues("peer_uri")) uris.emplace_back(uri.data(), uri.size());
  return IdentityOf(uris, trust_domain);
}

absl::StatusOr<Identity> RequireGateway(const grpc::ServerContextBase& context, const std::string& trust_domain) {
  ASSIGN_OR_RETURN(Identity identity, CallerOf(context, trust_domain));
  if (identity.role != Identity::Role::kGateway) return absl::PermissionDeniedError("for gateways only");
  return identity;
}

absl::StatusOr<Identity> RequireOperator(const grpc::ServerContextBase& context, const std::string& trust_domain) {
  ASSIGN_OR_RETURN(Identity identity, CallerOf(context, trust_domain));
  if (identity.role != Identity::Role::kOperator) return absl::PermissionDeniedError("for operators only");
  return identity;
}

grpc::Status RequireReader(const grpc::ServerContextBase& context, const std::string& trust_domain) {
  const absl::StatusOr<Identity> identity = CallerOf(context, trust_domain);
  if (!identity.ok()) return ToGrpc(identity.status());
  if (identity->role == Identity::Role::kGateway) {
    return {grpc::StatusCode::PERMISSION_DENIED, "for services and operators only"};
  }
  return grpc::Status::OK;
}

}  // namespace sluice::serving
