// Appending to the text of events and ledgers without formatting machinery: the simulator writes 60,000 events a second.
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace sluice::sim {

template <std::integral T>
void AppendNumber(std::string& out, T value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

// `Append(out, ",\"price\":", 250, ",\"currency\":\"EUR\"")`. Texts must need no JSON escape.
template <typename... Parts>
void Append(std::string& out, const Parts&... parts) {
  const auto one = [&out](const auto& part) {
    if constexpr (std::integral<std::decay_t<decltype(part)>>) {
      AppendNumber(out, part);
    } else {
      out.append(std::string_view(part));
    }
  };
  (one(parts), ...);
}

// Reads a whole unsigned number; false on anything else.
inline bool ParseNumber(std::string_view text, uint64_t& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

}  // namespace sluice::sim
