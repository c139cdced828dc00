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
  Admission Admit(ConnectionGate& gate, const std::string& address, int64_t now_ms = 0) {
    return gate.Admit(++last_, address, now_ms);
  }

  ConnectionLimits limits_{.total = 6, .per_address = 4, .half_open = 5, .half_open_per_address = 2, .per_second = 1000};
  uint64_t last_ = 0;   // id
};

TEST_F(ConnectionGateTest, BoundsConnectionsInTotalAndByAddress) {
  ConnectionGate gate(limits_);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(Admit(gate, "a"), Admission::kYes);
    gate.Settled(last_, "a");
  }
  EXPECT_EQ(Admit(gate, "a"), Admission::kTooManyFromAddress);
  EXPECT_EQ(Admit(gate, "b"), Admission::kYes);
  EXPECT_EQ(Admit(gate, "c"), Admission::kYes);
  EXPECT_EQ(Admit(gate, "d"), Admission::kTooMany);
  EXPECT_EQ(gate.open(), 6u);
  gate.Gone(1, "a", false);
  EXPECT_EQ(Admit(gate, "a"), Admission::kYes);
}

TEST_F(ConnectionGateTest, BoundsWhatIsHalfOpenByAddress) {
  ConnectionGate gate(limits_);
  ASSERT_EQ(Admit(gate, "a"), Admission::kYes);
  ASSERT_EQ(Admit(gate, "a"), Admission::kYes);
  EXPECT_EQ(Admit(gate, "a"), Admission::kTooManyHalfOpenFromAddress);
  EXPECT_EQ(Admit(gate, "b"), Admission::kYes) << "others come in";
  gate.Gone(1, "a", true);
  EXPECT_EQ(Admit(gate, "a"), Admission::kYes);
  EXPECT_EQ(gate.half_open(), 3u);
}

TEST_F(ConnectionGateTest, WhoHoldsMostHalfOpenLosesTheOldest) {
  limits_ = {.total = 100, .per_address = 100, .half_open = 4, .half_open_per_address = 3, .per_second = 1000};
  ConnectionGate gate(limits_);
  for (const char* address : {"old", "a", "a", "a"}) ASSERT_EQ(Admit(gate, address), Admission::kYes);
  EXPECT_EQ(gate.ToEvict(), 0u);
  ASSERT_LE(gate.NextAcceptMs(0), 0) << "full is no reason not to look who comes";
  ASSERT_EQ(Admit(gate, "new"), Admission::kYes);
  EXPECT_EQ(gate.ToEvict(), 2u) << "not the oldest of all";
  gate.Gone(2, "a", true);
  EXPECT_EQ(gate.ToEvict(), 0u);
  gate.Settled(3, "a");
  EXPECT_EQ(gate.half_open(), 3u);
  // One each: the oldest of all goes.
  ASSERT_EQ(Admit(gate, "b"), Admission::kYes);
  ASSERT_EQ(Admit(gate, "c"), Admission::kYes);
  EXPECT_EQ(gate.ToEvict(), 1u);
}

TEST_F(ConnectionGateTest, PacesNewOnes) {
  limits_ = {.total = 1000, .per_address = 1000, .half_open = 1000, .half_open_per_address = 1000, .per_second = 10};
  ConnectionGate gate(limits_);
  int64_t now = 1000;
  for (int i = 0; i < 10; ++i) {
    ASSERT_LE(gate.NextAcceptMs(now), now) << i;
    ASSERT_EQ(Admit(gate, StrCat("a", i), now), Admission::kYes);
  }
  EXPECT_EQ(gate.NextAcceptMs(now), now + 100);
  // Over ten seconds: ten a second, and not one more.
  int accepted = 0;
  for (int64_t at = now; at < now + 10'000; ++at) {
    while (gate.NextAcceptMs(at) <= at) {
      ASSERT_EQ(Admit(gate, StrCat("b", accepted), at), Admission::kYes);
      ++accepted;
    }
  }
  EXPECT_GE(accepted, 99);
  EXPECT_LE(accepted, 100);
}

TEST_F(ConnectionGateTest, AnEagerAddressTakesNobodysTurn) {
  limits_ = {.total = 10'000, .per_address = 10'000, .half_open = 10'000, .half_open_per_address = 10'000, .per_second = 100};
  ConnectionGate gate(limits_);
  int eager = 0, others = 0;
  for (int64_t now = 0; now < 10'000; now += 2) {
    // Five hundred a second of one, and of the others ten.
    ASSERT_LE(gate.NextAcceptMs(now), now) << "there is always one left for another";
    const Admission admission = Admit(gate, "eager", now);
    ASSERT_TRUE(admission == Admission::kYes || admission == Admission::kTooFastFromAddress);
    if (admission == Admission::kYes) gate.Gone(last_, "eager", true), ++eager;
    if (now % 100 == 0) {
      ASSERT_EQ(Admit(gate, StrCat("other ", now), now), Admission::kYes);
      ++others;
    }
  }
  EXPECT_EQ(others, 100);
  EXPECT_GE(eager, 49 + 10 * 25);
  EXPECT_LE(eager, 51 + 10 * 25);
}

TEST_F(ConnectionGateTest, ForgetsAddressesWithoutAConnection) {
  ConnectionGate gate({.total = 10, .per_address = 1, .half_open = 10, .half_open_per_address = 1, .per_second = 1e9});
  for (int i = 0; i < 1000; ++i) {
    const std::string address = StrCat(i);
    ASSERT_EQ(Admit(gate, address, i), Admission::kYes);
    gate.Gone(last_, address, true);
  }
  EXPECT_EQ(gate.open(), 0u);
  EXPECT_EQ(gate.half_open(), 0u);
  EXPECT_EQ(Admit(gate, "7", 1000), Admission::kYes);
}

}  // namespace
}  // namespace sluice::transport
