// Varints and counted strings: the encoding of the intake's own rows (snapshots, rejected messages).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::intake {

// Seven bits a byte, the lowest first, the top bit set on all but the last.
inline void PutVarint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

inline void PutText(std::string& out, std::string_view text) {
  PutVarint(out, text.size());
  out.append(text);
}

// False, and `in` somewhere, if it does not hold a whole 64-bit value.
inline bool TakeVarint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (in.empty()) return false;
    const auto byte = static_cast<uint8_t>(in.front());
    in.remove_prefix(1);
    if (shift == 63 && byte > 1) return false;
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

inline bool TakeText(std::string_view& in, std::string& text) {
  uint64_t size;
  if (!TakeVarint(in, size) || size > in.size()) return false;
  text.assign(in.substr(0, size));
  in.remove_prefix(size);
  return true;
}

}  // namespace sluice::intake
