#include "cloud/serving/identity.h"

#include <algorithm>

#include "base/status.h"
#include "base/strings.h"

namespace sluice::serving {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr size_t kMaxUri = 2048;
constexpr size_t kMaxTrustDomain = 255;
constexpr size_t kMaxName = 128;

bool IsLower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; }
bool IsPathCharacter(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z'); }

bool IsName(std::string_view segment) {
  return !segment.empty() && segment.size() <= kMaxName && segment != "." && segment != ".." &&
         std::all_of(segment.begin(), segment.end(), IsPathCharacter);
}

}  // namespace

absl::StatusOr<Identity> ParseIdentity(std::string_view uri) {
  if (uri.size() > kMaxUri) return absl::InvalidArgumentError("identity: longer than 2048 bytes");
  if (!uri.starts_with(kScheme)) return absl::InvalidArgumentError("identity: does not begin with spiffe://");
  std::vector<std::string_view> parts;
  std::string_view rest = uri.substr(kScheme.size());
  for (;;) {
    const size_t slash = rest.find('/');
    parts.push_back(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (parts[0].empty() || parts[0].size() > kMaxTrustDomain || !std::all_of(parts[0].begin(), parts[0].end(), IsLower)) {
    return absl::InvalidArgumentError("identity: trust domain not of a-z 0-9 . _ -");
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    if (!IsName(parts[i])) return absl::InvalidArgumentError("identity: a segment not of A-Z a-z 0-9 . _ -");
  }
  Identity identity;
  identity.trust_domain = parts[0];
  if (parts.size() == 5 && parts[1] == "shop" && parts[3] == "gateway") {
    identity.role = Identity::Role::kGateway;
    identity.shop = parts[2];
    identity.name = parts[4];
    return identity;
  }
  if (parts.size() == 3 && (parts[1] == "service" || parts[1] == "operator")) {
    identity.role = parts[1] == "service" ? Identity::Role::kService : Identity::Role::kOperator;
    identity.name = parts[2];
    return identity;
  }
  return absl::InvalidArgumentError("identity: neither /shop/<shop>/gateway/<gateway> nor /service/<name> nor "
                                    "/operator/<name>");
}

absl::StatusOr<Identity> IdentityOf(const std::vector<std::string>& uris, std::string_view trust_domain) {
  if (uris.size() != 1) {
    return absl::UnauthenticatedError(StrCat("certificate has ", uris.size(), " URI names, exactly one is wanted"));
  }
  absl::StatusOr<Identity> identity = ParseIdentity(uris.front());
  if (!identity.ok()) return absl::UnauthenticatedError(identity.status().message());
  if (identity->trust_domain != trust_domain) return absl::UnauthenticatedError("identity: of another trust domain");
  return identity;
}

}  // namespace sluice::serving
