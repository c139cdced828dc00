#include "sync/identity.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <chrono>
#include <ctime>
#include <memory>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace sluice::sync {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr size_t kMaxSpiffeId = 2048;
constexpr size_t kMaxTrustDomain = 255;
constexpr size_t kMaxName = 128;   // of a shop or a gateway

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> Memory(std::string_view text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// A PEM file with a password must not ask for it on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

bool IsLower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; }
bool IsSegment(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z'); }

absl::Status CheckSegment(std::string_view segment, std::string_view what) {
  if (segment.empty()) return absl::InvalidArgumentError(StrCat(what, " is empty"));
  if (segment.size() > kMaxName) return absl::InvalidArgumentError(StrCat(what, " is longer than ", kMaxName, " bytes"));
  if (segment == "." || segment == "..") return absl::InvalidArgumentError(StrCat(what, " is a relative path"));
  for (const char c : segment) {
    if (!IsSegment(c)) return absl::InvalidArgumentError(StrCat(what, " has a character other than A-Z a-z 0-9 . _ -"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Owned<X509>> ReadCertificate(std::string_view pem) {
  const Owned<BIO> bio = Memory(pem);
  Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) return absl::InvalidArgumentError("holds no PEM certificate");
  return certificate;
}

absl::StatusOr<GatewayIdentity> IdentityOf(X509* certificate) {
  int critical = 0;
  const Owned<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  ERR_clear_error();
  if (names == nullptr) {
    // -1: no such extension; -2: more than one; otherwise it could not be decoded.
    return absl::InvalidArgumentError(critical == -1 ? "certificate has no subject alternative name"
                                                     : "certificate's subject alternative name cannot be read");
  }
  std::optional<std::string> uri;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    if (uri) return absl::InvalidArgumentError("certificate has more than one URI subject alternative name");
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    uri = std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<size_t>(ASN1_STRING_length(text)));
  }
  if (!uri) return absl::InvalidArgumentError("certificate has no URI subject alternative name");
  return ParseGatewaySpiffeId(*uri);
}

// Nothing where it cannot be read.
std::optional<int64_t> UnixMs(const ASN1_TIME* time) {
  std::tm split{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &split) != 1) {
    ERR_clear_error();
    return std::nullopt;
  }
  const std::chrono::sys_days day(std::chrono::year(split.tm_year + 1900) /
                                  std::chrono::month(static_cast<unsigned>(split.tm_mon) + 1) /
                                  std::chrono::day(static_cast<unsigned>(split.tm_mday)));
  const int64_t seconds = split.tm_hour * 3600 + split.tm_min * 60 + split.tm_sec;
  return (int64_t{day.time_since_epoch().count()} * 86'400 + seconds) * 1000;
}

Validity ValidityOf(X509* certificate) {
  const Validity unbounded;
  return {.not_before_ms = UnixMs(X509_get0_notBefore(certificate)).value_or(unbounded.not_before_ms),
          .not_after_ms = UnixMs(X509_get0_notAfter(certificate)).value_or(unbounded.not_after_ms)};
}

}  // namespace

absl::StatusOr<GatewayIdentity> ParseGatewaySpiffeId(std::string_view uri) {
  if (uri.size() > kMaxSpiffeId) return absl::InvalidArgumentError("SPIFFE id is longer than 2048 bytes");
  if (!uri.starts_with(kScheme)) return absl::InvalidArgumentError("identity does not begin with spiffe://");
  std::array<std::string_view, 5> parts;
  std::string_view rest = uri.substr(kScheme.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t slash = rest.find('/');
    const bool last = i + 1 == parts.size();
    if ((slash == std::string_view::npos) != last) {
      return absl::InvalidArgumentError("SPIFFE id is not spiffe://<trust-domain>/shop/<shop>/gateway/<gateway>");
    }
    parts[i] = rest.substr(0, slash);
    if (!last) rest.remove_prefix(slash + 1);
  }
  if (parts[0].empty() || parts[0].size() > kMaxTrustDomain) {
    return absl::InvalidArgumentError("trust domain has to have 1 to 255 bytes");
  }
  for (const char c : parts[0]) {
    if (!IsLower(c)) return absl::InvalidArgumentError("trust domain has a character other than a-z 0-9 . _ -");
  }
  if (parts[1] != "shop" || parts[3] != "gateway") {
    return absl::InvalidArgumentError("SPIFFE id is not that of a gateway (…/shop/<shop>/gateway/<gateway>)");
  }
  RETURN_IF_ERROR(CheckSegment(parts[2], "shop"));
  RETURN_IF_ERROR(CheckSegment(parts[4], "gateway"));
  return GatewayIdentity{
      .trust_domain = std::string(parts[0]), .shop = std::string(parts[2]), .gateway = std::string(parts[4])};
}

absl::StatusOr<GatewayIdentity> IdentityOfCertificate(std::string_view pem) {
  ASSIGN_OR_RETURN(const Owned<X509> certificate, ReadCertificate(pem));
  return IdentityOf(certificate.get());
}

absl::StatusOr<Credentials> LoadCredentials(const IdentityFiles& files) {
  const auto read = [](const std::string& path, std::string_view what) -> absl::StatusOr<std::string> {
    if (path.empty()) return absl::InvalidArgumentError(StrCat(what, ": no file is configured"));
    absl::StatusOr<std::string> content = ReadFile(path);
    if (!content.ok()) return WithContext(content.status(), StrCat(what, " ", path));
    return content;
  };
  Credentials credentials;
  ASSIGN_OR_RETURN(credentials.certificate_pem, read(files.certificate, "certificate"));
  ASSIGN_OR_RETURN(credentials.private_key_pem, read(files.private_key, "private key"));
  ASSIGN_OR_RETURN(credentials.authorities_pem, read(files.authorities, "authorities"));

  const std::string own = StrCat("certificate ", files.certificate);
  absl::StatusOr<Owned<X509>> certificate = ReadCertificate(credentials.certificate_pem);
  if (!certificate.ok()) return WithContext(certificate.status(), own);
  absl::StatusOr<GatewayIdentity> identity = IdentityOf(certificate->get());
  if (!identity.ok()) return WithContext(identity.status(), own);
  credentials.identity = *std::move(identity);
  credentials.validity = ValidityOf(certificate->get());

  const Owned<BIO> bio = Memory(credentials.private_key_pem);
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(StrCat("private key ", files.private_key, ": holds no PEM key without a password"));
  }
  const bool pair = X509_check_private_key(certificate->get(), key.get()) == 1;
  ERR_clear_error();
  if (!pair) {
    return absl::InvalidArgumentError(
        StrCat("private key ", files.private_key, ": is not the key of certificate ", files.certificate));
  }
  const absl::StatusOr<Owned<X509>> authority = ReadCertificate(credentials.authorities_pem);
  if (!authority.ok()) return WithContext(authority.status(), StrCat("authorities ", files.authorities));
  return credentials;
}

}  // namespace sluice::sync
