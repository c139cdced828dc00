// Times, durations and sizes for people.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::ctl {

// 2026-08-01T12:00:00.123+02:00 in the local time zone; "-" for 0 (never, unknown).
std::string LocalTime(int64_t unix_ms);
// 12:00:00.123, for lines that scroll.
std::string LocalClock(int64_t unix_ms);

// Two units at most: "850 ms", "4.2 s", "3 min 5 s", "2 h 10 min", "12 d 3 h". Negative: with a minus.
std::string Duration(int64_t ms);
// "850 µs", "1.85 ms", "2.1 s".
std::string Microseconds(int64_t us);
// "512 B", "1.5 KiB", "12 MiB".
std::string Bytes(uint64_t bytes);
// "0", "0.4", "12", "1.2 k", "38 k".
std::string Rate(double per_second);

}  // namespace sluice::ctl
