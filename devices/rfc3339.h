// Time as text: RFC 3339, section 5.6.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::devices {

// Unix milliseconds of "2026-03-01T09:30:00.5+02:00"; the offset (or Z) is required, fractions beyond milliseconds are cut,
// second 60 is the next minute's first. Nothing if it is not a date that exists.
std::optional<int64_t> ParseRfc3339(std::string_view text);

}  // namespace sluice::devices
