// Pages by key (keyset): a token names the last row of the page before, so that rows which come or go in between neither
// repeat nor hide others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "base/strings.h"

namespace sluice::serving {

inline constexpr uint32_t kDefaultPage = 100;
inline constexpr uint32_t kMaxPage = 1000;

inline uint32_t PageSize(uint32_t asked) { return asked == 0 ? kDefaultPage : std::min(asked, kMaxPage); }

// `key` is anything but empty; clients must not read it.
inline std::string PageToken(std::string_view key) { return absl::WebSafeBase64Escape(AsAbsl(key)); }

// Empty for an empty token: from the beginning.
inline absl::StatusOr<std::string> PageKey(const std::string& token) {
  std::string key;
  if (token.size() > 4096 || !absl::WebSafeBase64Unescape(token, &key) || (key.empty() && !token.empty())) {
    return absl::InvalidArgumentError("page_token: not one that this method gave");
  }
  return key;
}

}  // namespace sluice::serving
