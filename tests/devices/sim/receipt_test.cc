#include "devices/sim/receipt.h"

#include <gtest/gtest.h>

namespace sluice::sim {
namespace {

TEST(ReceiptTest, ReadsTheDocumentedExample) {
  const auto receipt =
      ParseReceipt(R"({"boot":7,"ranges":[[1,812]],"refused":[{"seq":13,"reason":"why"}],"ids":["a","b"]})");
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_EQ(receipt->boot, 7u);
  ASSERT_EQ(receipt->ranges.size(), 1u);
  EXPECT_EQ(receipt->ranges[0], std::make_pair(uint64_t{1}, uint64_t{812}));
  ASSERT_EQ(receipt->refused.size(), 1u);
  EXPECT_EQ(receipt->refused[0].reason, "why");
}

TEST(ReceiptTest, RefusesWhatIsNone) {
  for (const char* bad : {"", "[]", "17", "{", R"({"boot":-1})", R"({"ranges":[[2,1]]})", R"({"ranges":[[1]]})",
                          R"({"ranges":[["a","b"]]})", R"({"ranges":{}})", R"({"refused":[7]})",
                          R"({"refused":[{"seq":"x"}]})", "\xff\xfe"}) {
    EXPECT_FALSE(ParseReceipt(bad).ok()) << bad;
  }
}

TEST(ReceiptTest, IgnoresMembersOfANewerGateway) {
  EXPECT_TRUE(ParseReceipt(R"({"boot":7,"ranges":[],"later":{"x":1}})").ok());
}

TEST(ReceiptTest, FindsTheAckInALine) {
  const auto receipt = ParseAckLine(R"({"ack":{"boot":3,"ranges":[[1,2]]}})");
  ASSERT_TRUE(receipt.ok());
  EXPECT_EQ(receipt->boot, 3u);
  EXPECT_TRUE(absl::IsNotFound(ParseAckLine(R"({"command":"tare"})").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseAckLine("half a li").status()));
}

}  // namespace
}  // namespace sluice::sim
