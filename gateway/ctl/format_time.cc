#include "gateway/ctl/format_time.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "base/strings.h"

namespace sluice::ctl {
namespace {

// printf of one number: its fixed small formats never need more than the buffer.
std::string Fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

// Three significant digits are what a person reads.
std::string Short(double value) { return Fixed(value, value < 9.95 ? 1 : 0); }

struct Split {
  std::tm local{};
  int ms = 0;
};

Split SplitLocal(int64_t unix_ms) {
  int64_t seconds = unix_ms / 1000, ms = unix_ms % 1000;
  if (ms < 0) {
    ms += 1000;
    --seconds;
  }
  Split split;
  split.ms = static_cast<int>(ms);
  const auto time = static_cast<std::time_t>(seconds);
  localtime_r(&time, &split.local);
  return split;
}

}  // namespace

std::string LocalTime(int64_t unix_ms) {
  if (unix_ms == 0) return "-";
  // Years that a calendar cannot show: a clock gone wild is shown as its number.
  if (unix_ms < -62'135'596'800'000 || unix_ms > 253'402'214'400'000) return StrCat(unix_ms, " ms");
  const Split split = SplitLocal(unix_ms);
  char date[32], zone[8], text[64];
  std::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &split.local);
  std::strftime(zone, sizeof(zone), "%z", &split.local);   // +hhmm
  std::snprintf(text, sizeof(text), "%s.%03d%.3s:%.2s", date, split.ms, zone, zone + 3);
  return text;
}

std::string LocalClock(int64_t unix_ms) {
  if (unix_ms == 0) return "-";
  if (unix_ms < -62'135'596'800'000 || unix_ms > 253'402'214'400'000) return StrCat(unix_ms, " ms");
  const Split split = SplitLocal(unix_ms);
  char time[16], text[32];
  std::strftime(time, sizeof(time), "%H:%M:%S", &split.local);
  std::snprintf(text, sizeof(text), "%s.%03d", time, split.ms);
  return text;
}

std::string Duration(int64_t ms) {
  if (ms < 0) return ms == INT64_MIN ? "-" : "-" + Duration(-ms);
  if (ms < 1000) return StrCat(ms, " ms");
  if (ms < 60'000) return Short(static_cast<double>(ms) / 1000) + " s";
  const int64_t seconds = ms / 1000, minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
  const auto two = [](int64_t big, const char* unit, int64_t small, const char* small_unit) {
    return small == 0 ? StrCat(big, unit) : StrCat(big, unit, " ", small, small_unit);
  };
  if (minutes < 60) return two(minutes, " min", seconds % 60, " s");
  if (hours < 24) return two(hours, " h", minutes % 60, " min");
  return two(days, " d", hours % 24, " h");
}

std::string Microseconds(int64_t us) {
  if (us < 1000) return StrCat(us, " µs");
  const double ms = static_cast<double>(us) / 1000;
  if (ms < 1000) return Fixed(ms, ms < 9.995 ? 2 : (ms < 99.95 ? 1 : 0)) + " ms";
  return Duration(us / 1000);
}

std::string Bytes(uint64_t bytes) {
  if (bytes < 1024) return StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {" KiB", " MiB", " GiB", " TiB"}) {
    if (value < 1023.5) break;
    value /= 1024;
    unit = next;
  }
  return Short(value) + unit;
}

std::string Rate(double per_second) {
  if (per_second < 0.05) return "0";
  if (per_second < 999.5) return Short(per_second);
  return Short(per_second / 1000) + " k";
}

}  // namespace sluice::ctl
