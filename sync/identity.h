// Who this gateway is: read from its certificate, and from nothing else (architecture: identity).
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "sync/validity.h"

namespace sluice::sync {

// spiffe://<trust-domain>/shop/<shop>/gateway/<gateway>
struct GatewayIdentity {
  std::string trust_domain;
  std::string shop;
  std::string gateway;
};

// Pure. SPIFFE-ID standard, section 2: scheme in lower case, trust domain of a-z 0-9 . _ -, path segments of
// A-Z a-z 0-9 . _ - that are neither "." nor ".."; no percent, query, fragment, port or user. At most 2048 bytes.
// InvalidArgument names what is wrong.
absl::StatusOr<GatewayIdentity> ParseGatewaySpiffeId(std::string_view uri);

// From the first certificate of a PEM chain: exactly one URI SAN, of the form above.
absl::StatusOr<GatewayIdentity> IdentityOfCertificate(std::string_view pem);

struct IdentityFiles {
  std::string certificate;   // PEM chain, own certificate first
  std::string private_key;   // PEM
  std::string authorities;   // PEM: whom we believe that they are the cloud
};

// The three files' content, checked against each other.
struct Credentials {
  GatewayIdentity identity;
  Validity validity;         // of the own certificate; not checked: the clock may be wrong, and the cloud decides
  std::string certificate_pem, private_key_pem, authorities_pem;
};

// Reads the files now, so that a renewed certificate counts from the next connection on. Errors name file and fault:
// NotFound, PermissionDenied, InvalidArgument (not PEM, no or another identity, key of another certificate).
absl::StatusOr<Credentials> LoadCredentials(const IdentityFiles& files);

}  // namespace sluice::sync
