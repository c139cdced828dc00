#include "sync/validity.h"

#include <chrono>
#include <cstdio>

#include "base/strings.h"

namespace sluice::sync {

std::string UtcText(int64_t unix_ms) {
  // Not gmtime: time_t has 32 bits on armhf.
  const auto second = std::chrono::floor<std::chrono::seconds>(std::chrono::sys_time<std::chrono::milliseconds>(
      std::chrono::milliseconds(unix_ms)));
  const auto day = std::chrono::floor<std::chrono::days>(second);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(second - day);
  char text[64];
  std::snprintf(text, sizeof(text), "%04d-%02u-%02uT%02ld:%02ld:%02ldZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<long>(time.hours().count()),
                static_cast<long>(time.minutes().count()), static_cast<long>(time.seconds().count()));
  return text;
}

std::string ClockComplaint(std::string_view what, const Validity& validity, int64_t now_ms) {
  const bool early = now_ms < validity.not_before_ms;
  if (!early && now_ms <= validity.not_after_ms) return "";
  return StrCat(what, early ? " is not valid before " : " expired at ",
                UtcText(early ? validity.not_before_ms : validity.not_after_ms), "; this machine's clock says ",
                UtcText(now_ms));
}

}  // namespace sluice::sync
