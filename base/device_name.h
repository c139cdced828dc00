// What a device may be called, wherever it names itself or is named: in topics, certificates, password files.
#pragma once

#include <algorithm>
#include <string_view>

namespace sluice {

// 1–64 of A–Z a–z 0–9 . _ -, not beginning with a dot. So it is one level of a topic, one segment of a path, no wildcard.
inline bool IsDeviceName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace sluice
