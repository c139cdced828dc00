#include "cloud/ingest/lease_policy.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sluice::ingest {
namespace {

EpochId Id(int n) {
  EpochId id;
  id.bytes[0] = static_cast<uint8_t>(n);
  return id;
}

// The epochs of a Hello, the running one last.
std::vector<Epoch> Hello(std::initializer_list<int> ids, uint64_t ordinal) {
  std::vector<Epoch> epochs;
  for (const int id : ids) epochs.push_back(Epoch{.id = Id(id), .ordinal = ordinal});
  return epochs;
}

class LeasePolicyTest : public testing::Test {
 protected:
  // True: it got the lease.
  bool Open(const std::string& hardware, std::initializer_list<int> ids, uint64_t ordinal = 1) {
    const std::vector<Epoch> epochs = Hello(ids, ordinal);
    verdict_ = DecideLease(holder_, lasting_, hardware, epochs);
    if (verdict_ != LeaseVerdict::kTake) return false;
    holder_ = TakenLease(holder_, hardware, epochs);
    lasting_ = true;
    return true;
  }

  LeaseHolder holder_;
  bool lasting_ = false;
  LeaseVerdict verdict_ = LeaseVerdict::kTake;
};

TEST_F(LeasePolicyTest, TheSameBoxComesBackAtOnce) {
  EXPECT_TRUE(Open("box", {1}));
  EXPECT_TRUE(Open("box", {1})) << "another stream of the same run";
  EXPECT_TRUE(Open("box", {1, 2})) << "a later run";
  EXPECT_TRUE(Open("box", {2, 3}));
  EXPECT_TRUE(Open("box", {9})) << "re-imaged: it knows nothing of the runs before";
}

TEST_F(LeasePolicyTest, OtherHardwareWaits) {
  EXPECT_TRUE(Open("box", {1}));
  EXPECT_FALSE(Open("other", {1, 2}));
  EXPECT_EQ(verdict_, LeaseVerdict::kOtherHardware);
  EXPECT_FALSE(Open("other", {1}));
  lasting_ = false;
  EXPECT_TRUE(Open("other", {1, 2}));
  EXPECT_FALSE(Open("box", {1}));
}

// A copy of the card on hardware without an id of its own: it comes with an epoch that follows ours.
TEST_F(LeasePolicyTest, ABoxWhoseEpochWasLeftBehindWaitsAndThereIsNoPingPong) {
  EXPECT_TRUE(Open("box", {1}));
  EXPECT_TRUE(Open("box", {1, 2})) << "may be a restart";
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(Open("box", {1})) << "it was none";
    EXPECT_EQ(verdict_, LeaseVerdict::kSecondBox);
    EXPECT_TRUE(Open("box", {1, 2}));
  }
  EXPECT_TRUE(Open("box", {1, 3})) << "the other one is started again";
  EXPECT_FALSE(Open("box", {1, 2}));
  EXPECT_TRUE(Open("box", {1, 3}));
  lasting_ = false;
  EXPECT_TRUE(Open("box", {1, 2})) << "when the other one has gone it goes on";
}

// A virtual machine that was started twice: both run under one epoch until one of them is told.
TEST_F(LeasePolicyTest, OfTwoMachinesWithOneEpochTheOneThatWasToldFirstGoesOn) {
  EXPECT_TRUE(Open("box", {1}));
  EXPECT_TRUE(Open("box", {1})) << "the second cannot be told from the first";
  EXPECT_TRUE(Open("box", {1, 5, 6})) << "it found the other's events and keyed its own anew";
  EXPECT_FALSE(Open("box", {1}));
  EXPECT_TRUE(Open("box", {1, 5, 6}));
}

TEST_F(LeasePolicyTest, AHelloThatComesLateIsNoSecondBox) {
  EXPECT_TRUE(Open("box", {1, 2}));
  EXPECT_TRUE(Open("box", {1})) << "of a run that is over, and was never heard of";
  EXPECT_TRUE(Open("box", {1, 2})) << "the run that is knows the other for an earlier one";
  EXPECT_TRUE(Open("box", {6}, 6));
  EXPECT_TRUE(Open("box", {5}, 5)) << "nothing was taken under it, so that nothing is held";
  EXPECT_TRUE(Open("box", {6}, 6)) << "the later one";
  EXPECT_FALSE(Open("box", {5}, 5));
}

TEST_F(LeasePolicyTest, RemembersABoundedNumberOfEpochs) {
  for (int i = 1; i <= 100; ++i) EXPECT_TRUE(Open("box", {i}));
  EXPECT_EQ(holder_.left_behind.size(), LeaseHolder::kMostLeftBehind);
  EXPECT_EQ(holder_.left_behind.front(), Id(99));
  EXPECT_FALSE(Open("box", {90}));
  EXPECT_TRUE(Open("box", {3})) << "forgotten";
}

}  // namespace
}  // namespace sluice::ingest
