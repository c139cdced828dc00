#include "devices/transport/device_certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <optional>

#include "base/device_name.h"
#include "base/status.h"

namespace sluice::transport {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
  void operator()(unsigned char* text) const { OPENSSL_free(text); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

constexpr std::string_view kSpiffe = "spiffe://";
constexpr std::string_view kDeviceSegment = "/device/";

absl::StatusOr<std::string> Name(std::string_view name, std::string_view place) {
  if (IsDeviceName(name)) return std::string(name);
  return absl::InvalidArgumentError(
      StrCat(place, " does not name a device: 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot"));
}

absl::StatusOr<std::string> UriOf(X509* certificate) {
  int critical = 0;
  const Owned<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  ERR_clear_error();
  if (names == nullptr) {
    return absl::InvalidArgumentError(critical == -1 ? "the certificate has no subject alternative name"
                                                     : "the certificate's subject alternative name cannot be read");
  }
  std::optional<std::string> uri;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    if (uri) return absl::InvalidArgumentError("the certificate has more than one URI subject alternative name");
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    uri = std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<size_t>(ASN1_STRING_length(text)));
  }
  if (!uri) return absl::InvalidArgumentError("the certificate has no URI subject alternative name");
  return *std::move(uri);
}

absl::StatusOr<std::string> CommonNameOf(X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return absl::InvalidArgumentError("the certificate has no common name");
  if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) {
    return absl::InvalidArgumentError("the certificate has more than one common name");
  }
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  ERR_clear_error();
  if (size < 0) return absl::InvalidArgumentError("the certificate's common name cannot be read");
  const Owned<unsigned char> owned(text);
  return Name({reinterpret_cast<const char*>(text), static_cast<size_t>(size)}, "the certificate's common name");
}

}  // namespace

absl::StatusOr<std::string> DeviceOfUri(const DeviceNameRule& rule, std::string_view uri) {
  if (!rule.uri_prefix.empty()) {
    if (!uri.starts_with(rule.uri_prefix)) {
      return absl::InvalidArgumentError(StrCat("the certificate's URI does not begin with ", rule.uri_prefix));
    }
    return Name(uri.substr(rule.uri_prefix.size()), "the certificate's URI");
  }
  const size_t name = uri.rfind('/') + 1;
  const std::string_view before = uri.substr(0, name);
  if (!before.starts_with(kSpiffe) || !before.ends_with(kDeviceSegment) ||
      before.size() <= kSpiffe.size() + kDeviceSegment.size()) {
    return absl::InvalidArgumentError("the certificate's URI is not spiffe://<trust-domain>/…/device/<device>");
  }
  return Name(uri.substr(name), "the certificate's URI");
}

absl::StatusOr<std::string> DeviceOfCertificate(const DeviceNameRule& rule, X509* certificate) {
  if (rule.place == DeviceNameRule::Place::kCommonName) return CommonNameOf(certificate);
  ASSIGN_OR_RETURN(const std::string uri, UriOf(certificate));
  return DeviceOfUri(rule, uri);
}

absl::StatusOr<std::string> DeviceOfCertificatePem(const DeviceNameRule& rule, std::string_view pem) {
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) return absl::InvalidArgumentError("holds no PEM certificate");
  return DeviceOfCertificate(rule, certificate.get());
}

}  // namespace sluice::transport
