// Who calls: read from the certificate that TLS verified, and from nothing else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::serving {

// spiffe://<trust-domain>/shop/<shop>/gateway/<name> · …/service/<name> · …/operator/<name>
struct Identity {
  enum class Role { kGateway, kService, kOperator };
  Role role = Role::kGateway;
  std::string trust_domain;
  std::string shop;   // of a gateway
  std::string name;
};

// Pure. SPIFFE-ID standard, section 2: scheme in lower case, trust domain of a-z 0-9 . _ -, path segments of
// A-Z a-z 0-9 . _ - that are neither "." nor ".."; nothing else, no more and no fewer segments. At most 2048 bytes.
absl::StatusOr<Identity> ParseIdentity(std::string_view uri);

// `uris`: every URI SAN of the certificate; exactly one, of the trust domain `trust_domain`. Unauthenticated otherwise.
absl::StatusOr<Identity> IdentityOf(const std::vector<std::string>& uris, std::string_view trust_domain);

}  // namespace sluice::serving
