// Strings between Abseil and the standard: Debian builds Abseil with its own string_view, which does not convert.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice {

inline absl::string_view AsAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view AsStd(absl::string_view text) { return {text.data(), text.size()}; }
inline std::string_view MessageOf(const absl::Status& status) { return AsStd(status.message()); }

namespace internal {
template <typename T>
auto CatArgument(const T& value) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return AsAbsl(value);
  } else if constexpr (std::is_array_v<T> || std::is_same_v<T, std::string>) {
    return absl::string_view(value);
  } else if constexpr (std::is_same_v<T, bool>) {
    return absl::string_view(value ? "true" : "false");
  } else {
    return value;
  }
}
}  // namespace internal

// absl::StrCat that takes std::string_view too.
template <typename... T>
std::string StrCat(const T&... values) {
  return absl::StrCat(internal::CatArgument(values)...);
}

}  // namespace sluice
