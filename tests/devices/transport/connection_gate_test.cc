#include "devices/transport/connection_gate.h"

#include <gtest/gtest.h>

#include <array>

#include "base/strings.h"

namespace sluice::transport {
namespace {

TEST(AddressKeyTest, GroupsIpv6BySubnetAndUndressesMappedAddresses) {
  const std::array<uint8_t, 4> v4{10, 0, 0, 7};
  EXPECT_EQ(AddressKey(v4.data(), 4), "10.0.0.7");
  std::array<uint8_t, 16> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 7};
  EXPECT_EQ(AddressKey(mapped.data(), 16), "10.0.0.7");
  std::array<uint8_t, 16> v6{0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 0xaa, 0xbb, 0, 0, 0, 0, 0, 1};
  const std::string key = AddressKey(v6.data(), 16);
  EXPECT_EQ(key, "2001:0db8:0001:0002::/64");
  v6[15] = 9;
  EXPECT_EQ(AddressKey(v6.data(), 16), key);
  v6[7] = 3;
  EXPECT_NE(AddressKey(v6.data(), 16), key);
}

class ConnectionGateTest : public testing::Test {
 protected:
  ConnectionLimits limits_{.total = 6, .per_address = 4, .half_open = 5, .half_open_per_address = 2, .per_second = 1000};
};

TEST_F(ConnectionGateTest, BoundsConnectionsInTotalAndByAddress) {
  ConnectionGate gate(limits_);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(gate.Admit("a", 0), Admission::kYes);
    gate.Settled("a");
  }
  EXPECT_EQ(gate.Admit("a", 0), Admission::kTooManyFromAddress);
  EXPECT_EQ(gate.Admit("b", 0), Admission::kYes);
  EXPECT_EQ(gate.Admit("c", 0), Admission::kYes);
  EXPECT_EQ(gate.Admit("d", 0), Admission::kTooMany);
  EXPECT_EQ(gate.open(), 6u);
  gate.Gone("a", false);
  EXPECT_EQ(gate.Admit("a", 0), Admission::kYes);
}

TEST_F(ConnectionGateTest, BoundsWhatIsHalfOpenByAddress) {
  ConnectionGate gate(limits_);
  ASSERT_EQ(gate.Admit("a", 0), Admission::kYes);
  ASSERT_EQ(gate.Admit("a", 0), Admission::kYes);
  EXPECT_EQ(gate.Admit("a", 0), Admission::kTooManyHalfOpenFromAddress);
  EXPECT_EQ(gate.Admit("b", 0), Admission::kYes) << "others come in";
  gate.Gone("a", true);
  EXPECT_EQ(gate.Admit("a", 0), Admission::kYes);
  EXPECT_EQ(gate.half_open(), 3u);
}

TEST_F(ConnectionGateTest, LeavesNewOnesWithTheKernelWhileTooManyAreHalfOpen) {
  limits_.half_open = 2;
  ConnectionGate gate(limits_);
  EXPECT_LE(gate.NextAcceptMs(5), 5);
  ASSERT_EQ(gate.Admit("a", 5), Admission::kYes);
  ASSERT_EQ(gate.Admit("b", 5), Admission::kYes);
  EXPECT_EQ(gate.NextAcceptMs(5), INT64_MAX);
  gate.Settled("a");
  EXPECT_LE(gate.NextAcceptMs(5), 5);
}

TEST_F(ConnectionGateTest, PacesNewOnes) {
  limits_ = {.total = 1000, .per_address = 1000, .half_open = 1000, .half_open_per_address = 1000, .per_second = 10};
  ConnectionGate gate(limits_);
  int64_t now = 1000;
  for (int i = 0; i < 10; ++i) {
    ASSERT_LE(gate.NextAcceptMs(now), now) << i;
    ASSERT_EQ(gate.Admit("a", now), Admission::kYes);
  }
  EXPECT_EQ(gate.NextAcceptMs(now), now + 100);
  // Over ten seconds: ten a second, and not one more.
  int accepted = 0;
  for (int64_t at = now; at < now + 10'000; ++at) {
    while (gate.NextAcceptMs(at) <= at) {
      ASSERT_EQ(gate.Admit(StrCat("b", accepted), at), Admission::kYes);
      ++accepted;
    }
  }
  EXPECT_GE(accepted, 99);
  EXPECT_LE(accepted, 100);
}

TEST_F(ConnectionGateTest, ForgetsAddressesWithoutAConnection) {
  ConnectionGate gate({.total = 10, .per_address = 1, .half_open = 10, .half_open_per_address = 1, .per_second = 1e9});
  for (int i = 0; i < 1000; ++i) {
    const std::string address = StrCat(i);
    ASSERT_EQ(gate.Admit(address, i), Admission::kYes);
    gate.Gone(address, true);
  }
  EXPECT_EQ(gate.open(), 0u);
  EXPECT_EQ(gate.half_open(), 0u);
  EXPECT_EQ(gate.Admit("7", 1000), Admission::kYes);
}

}  // namespace
}  // namespace sluice::transport
