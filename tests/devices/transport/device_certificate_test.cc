#include "devices/transport/device_certificate.h"

#include <gmock/gmock.h>

#include "base/strings.h"
#include "tests/fakes/test_certificates.h"

namespace sluice::transport {
namespace {

using testing::HasSubstr;

const DeviceNameRule kAnyDomain;
const DeviceNameRule kOurShop{.uri_prefix = "spiffe://example.com/shop/7/device/"};
const DeviceNameRule kCommonName{.place = DeviceNameRule::Place::kCommonName};

class DeviceCertificateTest : public testing::Test {
 protected:
  absl::StatusOr<std::string> Device(const DeviceNameRule& rule, const fakes::CertificateRequest& request) const {
    return DeviceOfCertificatePem(rule, authority_.Issue(request).certificate_pem);
  }
  void ExpectRefused(const DeviceNameRule& rule, const fakes::CertificateRequest& request, const std::string& why) const {
    const auto device = Device(rule, request);
    ASSERT_FALSE(device.ok()) << *device;
    EXPECT_THAT(std::string(device.status().message()), HasSubstr(why));
  }

  const fakes::TestAuthority authority_;
};

TEST_F(DeviceCertificateTest, ReadsTheOneUri) {
  EXPECT_EQ(Device(kAnyDomain, {.common_name = "other", .uris = {"spiffe://a.b/device/vm-1"}}).value(), "vm-1");
  EXPECT_EQ(Device(kAnyDomain, {.uris = {"spiffe://a.b/shop/7/device/vm-1"}, .dns_names = {"x.y"}}).value(), "vm-1");
  EXPECT_EQ(Device(kOurShop, {.uris = {"spiffe://example.com/shop/7/device/vm-1"}}).value(), "vm-1");
}

TEST_F(DeviceCertificateTest, RefusesEveryOtherSetOfNames) {
  ExpectRefused(kAnyDomain, {.common_name = "vm-1"}, "no subject alternative name");
  ExpectRefused(kAnyDomain, {.common_name = "vm-1", .dns_names = {"vm-1"}}, "no URI");
  ExpectRefused(kAnyDomain, {.uris = {"spiffe://a.b/device/vm-1", "spiffe://a.b/device/vm-2"}}, "more than one URI");
  ExpectRefused(kAnyDomain, {.uris = {"spiffe://a.b/device/vm-1", "https://a.b/"}}, "more than one URI");
}

TEST_F(DeviceCertificateTest, TheWholeNameHasToMatch) {
  for (const char* uri : {"spiffe://example.com/shop/70/device/vm-1", "spiffe://example.com/shop/7/device",
                          "x-spiffe://example.com/shop/7/device/vm-1", "https://e.com/spiffe://example.com/shop/7/device/vm-1"}) {
    EXPECT_FALSE(DeviceOfUri(kOurShop, uri).ok()) << uri;
  }
  for (const char* name : {"", "vm-1/", "vm-1/x", "../vm-1", ".vm", "vm%2d1", "vm 1", "vm-1?x", "vm+1", "#"}) {
    const auto device = DeviceOfUri(kOurShop, StrCat(kOurShop.uri_prefix, name));
    ASSERT_FALSE(device.ok()) << name;
    EXPECT_THAT(std::string(device.status().message()), HasSubstr("does not name a device"));
  }
  EXPECT_FALSE(DeviceOfUri(kOurShop, StrCat(kOurShop.uri_prefix, std::string(65, 'a'))).ok());
  EXPECT_FALSE(DeviceOfUri(kOurShop, StrCat(kOurShop.uri_prefix, std::string_view("vm-1\0", 5))).ok());
  for (const char* uri : {"", "spiffe://", "spiffe:///device/vm-1", "spiffe://a.b/gateway/vm-1", "spiffe://a.b/xdevice/vm-1",
                          "spiffe://a.b/device/", "http://a.b/device/vm-1", "spiffe://device/vm-1", "vm-1"}) {
    EXPECT_FALSE(DeviceOfUri(kAnyDomain, uri).ok()) << uri;
  }
}

TEST_F(DeviceCertificateTest, ReadsTheOneCommonName) {
  EXPECT_EQ(Device(kCommonName, {.common_name = "vm-1", .uris = {"spiffe://a.b/device/other"}}).value(), "vm-1");
  ExpectRefused(kCommonName, {.common_name = "vm-1", .more_common_names = {"vm-2"}}, "more than one common name");
  ExpectRefused(kCommonName, {.common_name = "vm 1"}, "does not name a device");
  ExpectRefused(kCommonName, {.common_name = std::string("vm-1\0.evil", 10)}, "does not name a device");
  ExpectRefused(kCommonName, {.common_name = "vm\u00fc"}, "does not name a device");
}

TEST_F(DeviceCertificateTest, SaysSoWhereThereIsNoCertificate) {
  EXPECT_FALSE(DeviceOfCertificatePem(kAnyDomain, "").ok());
  EXPECT_FALSE(DeviceOfCertificatePem(kAnyDomain, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").ok());
}

}  // namespace
}  // namespace sluice::transport
