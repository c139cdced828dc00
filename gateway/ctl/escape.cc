#include "gateway/ctl/escape.h"

#include <cstdint>
#include <cstdio>
#include <optional>

namespace sluice::ctl {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 0;
};

// The code point at the beginning of `text`; nothing where it is not UTF-8 (RFC 3629: shortest form, no surrogates).
std::optional<CodePoint> Decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return CodePoint{lead, 1};
  size_t length = 0;
  uint32_t value = 0, least = 0;
  if ((lead & 0xe0) == 0xc0) {
    length = 2, value = lead & 0x1f, least = 0x80;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3, value = lead & 0x0f, least = 0x800;
  } else if ((lead & 0xf8) == 0xf0) {
    length = 4, value = lead & 0x07, least = 0x10000;
  } else {
    return std::nullopt;
  }
  if (text.size() < length) return std::nullopt;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return std::nullopt;
    value = value << 6 | (byte(i) & 0x3f);
  }
  if (value < least || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return std::nullopt;
  return CodePoint{value, length};
}

struct Range {
  uint32_t first, last;
};

template <size_t N>
bool In(const Range (&ranges)[N], uint32_t value) {
  for (const Range& range : ranges) {
    if (value >= range.first && value <= range.last) return true;
  }
  return false;
}

// Controls, and what Unicode calls default-ignorable or bidirectional control: they change what others look like.
constexpr Range kDangerous[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},   {0x180e, 0x180e},   {0x200b, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
};
constexpr Range kCombining[] = {
    {0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x610, 0x61a}, {0x64b, 0x65f}, {0x1ab0, 0x1aff},
    {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};
constexpr Range kWide[] = {
    {0x1100, 0x115f}, {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},
    {0xa000, 0xa4cf}, {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
    {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

size_t WidthOf(uint32_t value) {
  if (In(kCombining, value)) return 0;
  return In(kWide, value) ? 2 : 1;
}

void AppendEscaped(std::string& out, uint32_t value) {
  char text[16];
  switch (value) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      std::snprintf(text, sizeof(text), value < 0x80 ? "\\x%02x" : "\\u{%x}", value);
      out += text;
  }
}

}  // namespace

std::string EscapeForTerminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto point = Decode(text);
    if (!point) {
      char hex[8];
      std::snprintf(hex, sizeof(hex), "\\x%02x", static_cast<uint8_t>(text[0]));
      out += hex;
      text.remove_prefix(1);
      continue;
    }
    if (In(kDangerous, point->value)) {
      AppendEscaped(out, point->value);
    } else {
      out += text.substr(0, point->bytes);
    }
    text.remove_prefix(point->bytes);
  }
  return out;
}

size_t DisplayWidth(std::string_view escaped) {
  size_t width = 0;
  while (!escaped.empty()) {
    const auto point = Decode(escaped);
    width += point ? WidthOf(point->value) : 1;
    escaped.remove_prefix(point ? point->bytes : 1);
  }
  return width;
}

std::string Truncate(std::string_view escaped, size_t width) {
  if (DisplayWidth(escaped) <= width) return std::string(escaped);
  if (width == 0) return "";
  size_t used = 0, bytes = 0;
  while (bytes < escaped.size()) {
    const auto point = Decode(escaped.substr(bytes));
    const size_t columns = point ? WidthOf(point->value) : 1;
    if (used + columns > width - 1) break;
    used += columns;
    bytes += point ? point->bytes : 1;
  }
  return std::string(escaped.substr(0, bytes)) + "…";
}

}  // namespace sluice::ctl
