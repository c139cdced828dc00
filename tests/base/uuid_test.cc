#include "base/uuid.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

// The name space DNS of RFC 9562, section 6.6.
const Id128 kDns = *Id128::Parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8");

TEST(UuidTest, Version5IsThatOfTheStandardsExample) {
  // RFC 9562, appendix A.4.
  EXPECT_EQ(Uuid5Of(kDns, "www.example.com").ToUuid(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

TEST(UuidTest, Version8IsThatOfTheStandardsExample) {
  // RFC 9562, appendix B.2.
  EXPECT_EQ(Uuid8Of(std::string(kDns.View()) + "www.example.com").ToUuid(), "5c146b14-3c52-8afd-938a-375d0df1fbf6");
}

TEST(UuidTest, ADigestDoesNotDependOnTheOneBefore) {
  const Id128 alone = Uuid8Of("b");
  Uuid8Of(std::string(1000, 'a'));
  Uuid5Of(kDns, "c");
  EXPECT_EQ(Uuid8Of("b"), alone);
  EXPECT_NE(Uuid8Of("a"), alone);
}

}  // namespace
}  // namespace sluice
