#include "sync/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/clock.h"
#include "base/file.h"
#include "tests/fakes/test_certificates.h"

namespace sluice::sync {
namespace {

using testing::HasSubstr;

TEST(SpiffeIdTest, NamesShopAndGateway) {
  const auto id = ParseGatewaySpiffeId("spiffe://retail.example/shop/S-12/gateway/gw_7.a");
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(id->trust_domain, "retail.example");
  EXPECT_EQ(id->shop, "S-12");
  EXPECT_EQ(id->gateway, "gw_7.a");
}

TEST(SpiffeIdTest, IsRefusedInAnyOtherShape) {
  const std::string long_name(129, 'a');
  const std::string cases[] = {
      "",
      "spiffe://",
      "SPIFFE://t/shop/s/gateway/g",
      "https://t/shop/s/gateway/g",
      " spiffe://t/shop/s/gateway/g",
      "spiffe:///shop/s/gateway/g",
      "spiffe://T/shop/s/gateway/g",
      "spiffe://t:443/shop/s/gateway/g",
      "spiffe://u@t/shop/s/gateway/g",
      "spiffe://t/shop/s",
      "spiffe://t/shop/s/gateway",
      "spiffe://t/shop/s/gateway/",
      "spiffe://t/shop//gateway/g",
      "spiffe://t/shop/s/gateway/g/",
      "spiffe://t/shop/s/gateway/g/x",
      "spiffe://t//shop/s/gateway/g",
      "spiffe://t/service/shop",
      "spiffe://t/Shop/s/gateway/g",
      "spiffe://t/shop/s/gateways/g",
      "spiffe://t/gateway/g/shop/s",
      "spiffe://t/shop/../gateway/g",
      "spiffe://t/shop/s/gateway/.",
      "spiffe://t/shop/s%2fgateway%2fother/gateway/g",
      "spiffe://t/shop/s/gateway/g%00",
      "spiffe://t/shop/s/gateway/g?x=1",
      "spiffe://t/shop/s/gateway/g#x",
      "spiffe://t/shop/s/gateway/g h",
      "spiffe://t/shop/s/gateway/gé",
      std::string("spiffe://t/shop/s/gateway/g\0", 28),
      "spiffe://t/shop/" + long_name + "/gateway/g",
      "spiffe://t/shop/s/gateway/" + long_name,
      "spiffe://" + std::string(256, 'a') + "/shop/s/gateway/g",
      "spiffe://t/shop/s/gateway/" + std::string(4000, 'a'),
  };
  for (const std::string& uri : cases) EXPECT_FALSE(ParseGatewaySpiffeId(uri).ok()) << uri;
}

class IdentityTest : public testing::Test {
 protected:
  IdentityTest() {
    folder_ = std::filesystem::path(testing::TempDir()) / ("identity-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    files_ = {folder_ / "gw.pem", folder_ / "gw.key", folder_ / "ca.pem"};
    Use(authority_.IssueGateway("s1", "g1"));
    Write(files_.authorities, authority_.certificate_pem());
  }
  ~IdentityTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& path, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomically(path, content).ok());
  }
  void Use(const fakes::TestCertificate& certificate) {
    Write(files_.certificate, certificate.certificate_pem);
    Write(files_.private_key, certificate.private_key_pem);
  }
  std::string Error() {
    const auto credentials = LoadCredentials(files_);
    return credentials.ok() ? "" : std::string(credentials.status().message());
  }

  fakes::TestAuthority authority_;
  std::filesystem::path folder_;
  IdentityFiles files_;
};

TEST_F(IdentityTest, ComesFromTheOneUriOfTheCertificate) {
  const auto credentials = LoadCredentials(files_);
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  EXPECT_EQ(credentials->identity.gateway, "g1");
  EXPECT_EQ(credentials->identity.shop, "s1");
  EXPECT_EQ(credentials->identity.trust_domain, "sluice.test");
}

TEST_F(IdentityTest, SaysFromWhenToWhenTheCertificateIsValid) {
  const int64_t now_ms = SystemClock().WallMs();
  Use(authority_.Issue({.uris = {"spiffe://t/shop/s/gateway/g"}, .valid_from_s = -7'200, .valid_to_s = 100LL * 366 * 86'400}));
  auto credentials = LoadCredentials(files_);
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  EXPECT_NEAR(static_cast<double>(credentials->validity.not_before_ms), static_cast<double>(now_ms - 7'200'000), 30'000);
  // Beyond 2050 certificates write their years otherwise.
  EXPECT_NEAR(static_cast<double>(credentials->validity.not_after_ms),
              static_cast<double>(now_ms + 100LL * 366 * 86'400'000), 30'000);
  Use(authority_.Issue({.uris = {"spiffe://t/shop/s/gateway/g"}, .valid_from_s = -7'200, .valid_to_s = -60}));
  credentials = LoadCredentials(files_);
  ASSERT_TRUE(credentials.ok()) << "the clock may be wrong: " << credentials.status();
  EXPECT_LT(credentials->validity.not_after_ms, now_ms);
}

TEST(ValidityTest, TellsDatesInUtc) {
  // Figures of date -u -d @<seconds>.
  EXPECT_EQ(UtcText(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(UtcText(-1), "1969-12-31T23:59:59Z");
  EXPECT_EQ(UtcText(951'827'696'789), "2000-02-29T12:34:56Z");
  EXPECT_EQ(UtcText(4'102'444'800'000), "2100-01-01T00:00:00Z");
  EXPECT_EQ(UtcText(253'402'300'799'999), "9999-12-31T23:59:59Z");
}

TEST(ValidityTest, ComplainsOfTheClockOutsideOnly) {
  const Validity validity{.not_before_ms = 1'767'225'600'000, .not_after_ms = 1'798'761'600'000};
  EXPECT_EQ(ClockComplaint("certificate gw.pem", validity, 12'000),
            "certificate gw.pem is not valid before 2026-01-01T00:00:00Z; this machine's clock says 1970-01-01T00:00:12Z");
  EXPECT_EQ(ClockComplaint("certificate gw.pem", validity, 1'798'761'600'001),
            "certificate gw.pem expired at 2027-01-01T00:00:00Z; this machine's clock says 2027-01-01T00:00:00Z");
  EXPECT_EQ(ClockComplaint("x", validity, validity.not_before_ms), "");
  EXPECT_EQ(ClockComplaint("x", validity, validity.not_after_ms), "");
  EXPECT_EQ(ClockComplaint("x", {}, INT64_MIN), "");
}

TEST_F(IdentityTest, IsRefusedWithTwoUris) {
  Use(authority_.Issue({.uris = {"spiffe://t/shop/s/gateway/g", "spiffe://t/shop/s/gateway/h"}}));
  EXPECT_THAT(Error(), HasSubstr("more than one URI"));
}

TEST_F(IdentityTest, IsRefusedWithoutAUri) {
  Use(authority_.Issue({.common_name = "spiffe://t/shop/s/gateway/g", .dns_names = {"g"}}));
  EXPECT_THAT(Error(), HasSubstr("no URI"));
  Use(authority_.Issue({}));
  EXPECT_THAT(Error(), HasSubstr("no subject alternative name"));
}

TEST_F(IdentityTest, IsRefusedWithAServicesCertificate) {
  Use(authority_.IssueService("shop"));
  EXPECT_THAT(Error(), HasSubstr("gw.pem"));
}

TEST_F(IdentityTest, NamesTheFileThatIsWrong) {
  Write(files_.certificate, "junk");
  EXPECT_THAT(Error(), HasSubstr("gw.pem: holds no PEM certificate"));
  Use(authority_.IssueGateway("s1", "g1"));
  Write(files_.private_key, authority_.IssueGateway("s1", "g1").private_key_pem);
  EXPECT_THAT(Error(), HasSubstr("is not the key of certificate"));
  Write(files_.private_key, "junk");
  EXPECT_THAT(Error(), HasSubstr("gw.key"));
  Use(authority_.IssueGateway("s1", "g1"));
  Write(files_.authorities, "");
  EXPECT_THAT(Error(), HasSubstr("ca.pem"));
  std::filesystem::remove(files_.authorities);
  EXPECT_EQ(LoadCredentials(files_).status().code(), absl::StatusCode::kNotFound);
  files_.authorities.clear();
  EXPECT_THAT(Error(), HasSubstr("no file is configured"));
}

}  // namespace
}  // namespace sluice::sync
