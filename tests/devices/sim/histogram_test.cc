#include "devices/sim/histogram.h"

#include <gtest/gtest.h>

namespace sluice::sim {
namespace {

TEST(HistogramTest, PercentilesAreRightToAFewPercent) {
  Histogram histogram;
  EXPECT_EQ(histogram.AtUs(0.99), 0);
  for (int64_t us = 1; us <= 100'000; ++us) histogram.Add(us);
  EXPECT_EQ(histogram.total(), 100'000u);
  EXPECT_EQ(histogram.largest_us(), 100'000);
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const double right = share * 100'000;
    EXPECT_GE(static_cast<double>(histogram.AtUs(share)), right);
    EXPECT_LE(static_cast<double>(histogram.AtUs(share)), right * 1.04 + 1);
  }
  EXPECT_EQ(histogram.AtUs(1.0), 100'000);
}

TEST(HistogramTest, SmallOnesAreExactAndExtremesFit) {
  Histogram histogram;
  for (const int64_t us : {int64_t{-5}, int64_t{0}, int64_t{3}, int64_t{3}, INT64_MAX}) histogram.Add(us);
  EXPECT_EQ(histogram.AtUs(0.0), 0);
  EXPECT_EQ(histogram.AtUs(0.5), 3);
  EXPECT_EQ(histogram.AtUs(0.9), INT64_MAX);
}

}  // namespace
}  // namespace sluice::sim
