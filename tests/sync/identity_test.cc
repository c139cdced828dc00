#include "sync/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

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
