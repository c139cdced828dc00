// Which device a client certificate names. The chain was verified before; this reads the name, and only a whole one.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct x509_st;   // OpenSSL's X509

namespace sluice::transport {

struct DeviceNameRule {
  enum class Place {
    kUri,          // the one URI subject alternative name: uri_prefix and the device's name
    kCommonName,   // the one common name of the subject
  } place = Place::kUri;
  // "spiffe://example.com/shop/7/device/"; empty: any spiffe://<trust-domain>/…/device/.
  std::string uri_prefix;
};

// InvalidArgument names what is wrong: none or more than one such name, a name that no device may have (base/device_name.h),
// a NUL inside.
absl::StatusOr<std::string> DeviceOfCertificate(const DeviceNameRule& rule, x509_st* certificate);
// Likewise of the first certificate in a PEM text.
absl::StatusOr<std::string> DeviceOfCertificatePem(const DeviceNameRule& rule, std::string_view pem);

// Pure.
absl::StatusOr<std::string> DeviceOfUri(const DeviceNameRule& rule, std::string_view uri);

}  // namespace sluice::transport
