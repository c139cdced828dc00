#include "gateway/ctl/format_time.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace sluice::ctl {
namespace {

class FormatTimeTest : public testing::Test {
 protected:
  static void Zone(const char* zone) {
    setenv("TZ", zone, 1);
    tzset();
  }
};

TEST_F(FormatTimeTest, ShowsLocalTimeWithItsOffset) {
  Zone("UTC");
  EXPECT_EQ(LocalTime(1'700'000'000'123), "2023-11-14T22:13:20.123+00:00");
  Zone("CET-1CEST,M3.5.0,M10.5.0/3");
  EXPECT_EQ(LocalTime(1'700'000'000'123), "2023-11-14T23:13:20.123+01:00");
  EXPECT_EQ(LocalTime(1'690'000'000'000), "2023-07-22T06:26:40.000+02:00");
  EXPECT_EQ(LocalClock(1'700'000'000'123), "23:13:20.123");
  Zone("UTC");
  EXPECT_EQ(LocalTime(-1), "1969-12-31T23:59:59.999+00:00");
  EXPECT_EQ(LocalTime(0), "-");
  EXPECT_EQ(LocalTime(INT64_MAX), "9223372036854775807 ms") << "a clock gone wild";
}

TEST_F(FormatTimeTest, ShowsDurations) {
  EXPECT_EQ(Duration(0), "0 ms");
  EXPECT_EQ(Duration(850), "850 ms");
  EXPECT_EQ(Duration(4'200), "4.2 s");
  EXPECT_EQ(Duration(59'999), "60 s");
  EXPECT_EQ(Duration(185'000), "3 min 5 s");
  EXPECT_EQ(Duration(7'800'000), "2 h 10 min");
  EXPECT_EQ(Duration(3'600'000), "1 h");
  EXPECT_EQ(Duration(1'047'600'000), "12 d 3 h");
  EXPECT_EQ(Duration(-5'000), "-5.0 s");
}

TEST_F(FormatTimeTest, ShowsSmallTimesSizesAndRates) {
  EXPECT_EQ(Microseconds(850), "850 µs");
  EXPECT_EQ(Microseconds(1'850), "1.85 ms");
  EXPECT_EQ(Microseconds(42'000), "42.0 ms");
  EXPECT_EQ(Microseconds(2'100'000), "2.1 s");
  EXPECT_EQ(Bytes(512), "512 B");
  EXPECT_EQ(Bytes(1'536), "1.5 KiB");
  EXPECT_EQ(Bytes(12u << 20), "12 MiB");
  EXPECT_EQ(Rate(0), "0");
  EXPECT_EQ(Rate(0.4), "0.4");
  EXPECT_EQ(Rate(12.2), "12");
  EXPECT_EQ(Rate(38'000), "38 k");
  EXPECT_EQ(Rate(1'240), "1.2 k");
}

}  // namespace
}  // namespace sluice::ctl
