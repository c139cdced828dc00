#include "cloud/serving/identity.h"

#include <gtest/gtest.h>

namespace sluice::serving {
namespace {

TEST(IdentityTest, ReadsTheThreeRoles) {
  const auto gateway = ParseIdentity("spiffe://example.org/shop/S-1/gateway/gw_1");
  ASSERT_TRUE(gateway.ok());
  EXPECT_EQ(gateway->role, Identity::Role::kGateway);
  EXPECT_EQ(gateway->trust_domain, "example.org");
  EXPECT_EQ(gateway->shop, "S-1");
  EXPECT_EQ(gateway->name, "gw_1");
  EXPECT_EQ(ParseIdentity("spiffe://a/service/erp")->role, Identity::Role::kService);
  EXPECT_EQ(ParseIdentity("spiffe://a/operator/ada")->role, Identity::Role::kOperator);
}

TEST(IdentityTest, RefusesEverythingElse) {
  for (const std::string uri : {
           "", "spiffe://", "spiffe://a", "spiffe://a/", "spiffe:///shop/s/gateway/g", "SPIFFE://a/service/x",
           "https://a/service/x", "spiffe://A/service/x", "spiffe://a:1/service/x", "spiffe://u@a/service/x",
           "spiffe://a/service/", "spiffe://a/service/x/", "spiffe://a//service/x", "spiffe://a/service/x?y",
           "spiffe://a/service/x#y", "spiffe://a/service/%78", "spiffe://a/service/..", "spiffe://a/service/.",
           "spiffe://a/service/x/y", "spiffe://a/Service/x", "spiffe://a/root/x", "spiffe://a/shop/s", "spiffe://a/shop//gateway/g",
           "spiffe://a/shop/s/gateway/", "spiffe://a/shop/s/gateway/g/x", "spiffe://a/shop/s/gw/g",
           "spiffe://a/shop/s t/gateway/g", "spiffe://a/service/\xC3\xBC", " spiffe://a/service/x", "spiffe://a/service/x ",
       }) {
    EXPECT_FALSE(ParseIdentity(uri).ok()) << uri;
  }
  EXPECT_FALSE(ParseIdentity(std::string("spiffe://a/service/x\0y", 22)).ok());
  EXPECT_FALSE(ParseIdentity("spiffe://a/service/" + std::string(129, 'x')).ok());
  EXPECT_FALSE(ParseIdentity("spiffe://" + std::string(256, 'a') + "/service/x").ok());
}

TEST(IdentityTest, WantsExactlyOneUriOfTheTrustDomain) {
  const std::string ada = "spiffe://a/operator/ada";
  EXPECT_TRUE(IdentityOf({ada}, "a").ok());
  EXPECT_EQ(IdentityOf({}, "a").status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(IdentityOf({ada, ada}, "a").status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(IdentityOf({ada}, "b").status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(IdentityOf({ada}, "a.").status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(IdentityOf({"spiffe://a.evil/operator/ada"}, "a").status().code(), absl::StatusCode::kUnauthenticated);
}

}  // namespace
}  // namespace sluice::serving
