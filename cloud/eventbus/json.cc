#include "cloud/eventbus/json.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace sluice::eventbus {
namespace {

constexpr char kHex[] = "0123456789abcdef";

template <typename Number>
void Append(std::string& out, Number value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out.append(buffer, end);
}

// True: none of the eight bytes needs an escape.
bool IsPlain(const char* text) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
  uint64_t bytes;
  std::memcpy(&bytes, text, sizeof bytes);
  // The high bit of a byte is set where it is zero; it may be set above such a byte too, which does no harm.
  const auto zeros = [](uint64_t value) { return (value - kOnes) & ~value & kHighs; };
  const uint64_t controls = (bytes - kOnes * 0x20) & ~bytes & kHighs;
  return (controls | zeros(bytes ^ kOnes * '"') | zeros(bytes ^ kOnes * '\\')) == 0;
}

}  // namespace

void AppendJsonString(std::string& out, std::string_view text) {
  out.push_back('"');
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    while (i + 8 <= text.size() && IsPlain(text.data() + i)) i += 8;
    if (i == text.size()) break;
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, from, i - from);
    from = i + 1;
    switch (c) {
      case '"': out.append("\\\""); break;
      case '\\': out.append("\\\\"); break;
      case '\n': out.append("\\n"); break;
      case '\r': out.append("\\r"); break;
      case '\t': out.append("\\t"); break;
      default:
        out.append("\\u00");
        out.push_back(kHex[c >> 4]);
        out.push_back(kHex[c & 0xF]);
    }
  }
  out.append(text, from, text.size() - from);
  out.push_back('"');
}

void AppendJsonNumber(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out.append("null");
    return;
  }
  Append(out, value);
}

void AppendJsonNumber(std::string& out, int64_t value) { Append(out, value); }

void AppendJsonSeconds(std::string& out, int64_t unix_ms) {
  // By parts: a double would round what is far in the future.
  const bool negative = unix_ms < 0;
  const uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(unix_ms) : static_cast<uint64_t>(unix_ms);
  if (negative) out.push_back('-');
  Append(out, magnitude / 1000);
  const unsigned ms = static_cast<unsigned>(magnitude % 1000);
  const char decimals[] = {'.', static_cast<char>('0' + ms / 100), static_cast<char>('0' + ms / 10 % 10),
                           static_cast<char>('0' + ms % 10)};
  out.append(decimals, sizeof decimals);
}

JsonObject& JsonObject::Unsigned(JsonName name, uint64_t value) {
  Name(name);
  Append(out_, value);
  return *this;
}

void JsonObject::Name(JsonName name) {
  if (!first_) out_.push_back(',');
  first_ = false;
  if (name.plain()) {
    out_.push_back('"');
    out_.append(name.text());
    out_.append("\":", 2);
  } else {
    AppendJsonString(out_, name.text());
    out_.push_back(':');
  }
}

}  // namespace sluice::eventbus
