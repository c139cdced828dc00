#include "devices/rfc3339.h"

#include <chrono>

namespace sluice::devices {
namespace {

// Takes exactly `digits` decimal digits off the front; -1 if they are not there.
int TakeNumber(std::string_view& text, size_t digits) {
  if (text.size() < digits) return -1;
  int value = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool TakeCharacter(std::string_view& text, char upper) {
  if (text.empty() || (text.front() != upper && text.front() != (upper | 0x20))) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<int64_t> ParseRfc3339(std::string_view text) {
  const int year = TakeNumber(text, 4);
  if (year < 0 || !TakeCharacter(text, '-')) return std::nullopt;
  const int month = TakeNumber(text, 2);
  if (month < 0 || !TakeCharacter(text, '-')) return std::nullopt;
  const int day = TakeNumber(text, 2);
  if (day < 0 || !TakeCharacter(text, 'T')) return std::nullopt;
  const int hour = TakeNumber(text, 2);
  if (hour < 0 || hour > 23 || !TakeCharacter(text, ':')) return std::nullopt;
  const int minute = TakeNumber(text, 2);
  if (minute < 0 || minute > 59 || !TakeCharacter(text, ':')) return std::nullopt;
  const int second = TakeNumber(text, 2);
  if (second < 0 || second > 60) return std::nullopt;
  int64_t ms = 0;
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    int64_t scale = 100;
    size_t digits = 0;
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), scale /= 10, ++digits) {
      ms += scale * (text.front() - '0');
    }
    if (digits == 0 || digits > 9) return std::nullopt;
  }
  int64_t offset_minutes = 0;
  if (!TakeCharacter(text, 'Z')) {
    if (text.empty() || (text.front() != '+' && text.front() != '-')) return std::nullopt;
    const int sign = text.front() == '+' ? 1 : -1;
    text.remove_prefix(1);
    const int hours = TakeNumber(text, 2);
    if (hours < 0 || hours > 23 || text.empty() || text.front() != ':') return std::nullopt;
    text.remove_prefix(1);
    const int minutes = TakeNumber(text, 2);
    if (minutes < 0 || minutes > 59) return std::nullopt;
    offset_minutes = sign * (hours * 60 + minutes);
  }
  if (!text.empty()) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return (((days * 24 + hour) * 60 + minute - offset_minutes) * 60 + second) * 1000 + ms;
}

}  // namespace sluice::devices
