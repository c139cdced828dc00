#include "devices/transport/failure_backoff.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sluice::transport {
namespace {

class FailureBackoffTest : public testing::Test {
 protected:
  FailureBackoff backoff_{{.free = 3, .first_ms = 1000, .most_ms = 8000, .forgive_ms = 60'000}};
};

TEST_F(FailureBackoffTest, DoublesTheWaitWithEachFailureUpToABound) {
  int64_t now = 1;
  for (int i = 0; i < 3; ++i) {
    backoff_.Failed("a", "vm-1", now);
    EXPECT_FALSE(backoff_.MustWait("a", "vm-1", now));
  }
  for (const int64_t wait : {1000, 2000, 4000, 8000, 8000}) {
    backoff_.Failed("a", "vm-1", now);
    EXPECT_TRUE(backoff_.MustWait("a", "vm-1", now + wait - 1)) << wait;
    EXPECT_FALSE(backoff_.MustWait("a", "vm-1", now + wait)) << wait;
  }
}

TEST_F(FailureBackoffTest, ANameAtAnAddressWaitsForItsOwnFailuresAlone) {
  for (int i = 0; i < 100; ++i) backoff_.Failed("a", "vm-1", 0);
  EXPECT_TRUE(backoff_.MustWait("a", "vm-1", 1));
  EXPECT_FALSE(backoff_.MustWait("a", "vm-2", 1));
  EXPECT_FALSE(backoff_.MustWait("b", "vm-1", 1));
}

TEST_F(FailureBackoffTest, OnlyTimeForgives) {
  for (int i = 0; i < 4; ++i) backoff_.Failed("a", "vm-1", 0);
  EXPECT_TRUE(backoff_.MustWait("a", "vm-1", 500));
  // One is forgiven each minute: two minutes later there are two, and the next makes three.
  backoff_.Failed("a", "vm-1", 120'000);
  EXPECT_FALSE(backoff_.MustWait("a", "vm-1", 120'001));
  backoff_.Failed("a", "vm-1", 120'000);
  EXPECT_TRUE(backoff_.MustWait("a", "vm-1", 120'001));
}

TEST_F(FailureBackoffTest, IsBoundedAndKeepsTheWorst) {
  for (int i = 0; i < 20; ++i) backoff_.Failed("worst", "vm-1", 0);
  for (int i = 0; i < 3 * static_cast<int>(FailureBackoff::kEntries); ++i) backoff_.Failed("a", StrCat(i), 1);
  EXPECT_LE(backoff_.entries(), FailureBackoff::kEntries);
  EXPECT_TRUE(backoff_.MustWait("worst", "vm-1", 2));
}

}  // namespace
}  // namespace sluice::transport
