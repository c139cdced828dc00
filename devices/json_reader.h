// One strict pass over a JSON text (RFC 8259), told to a handler event by event: no tree, no copies of what has no escapes. Pure.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

namespace sluice::devices {

// The handler's methods return false to stop. Texts are UTF-8 and valid during the call.
//   bool null(); bool boolean(bool); bool string(std::string_view); bool key(std::string_view);
//   bool number_integer(int64_t)     below 0
//   bool number_unsigned(uint64_t)
//   bool number_float(double)        with a point or an exponent, or beyond 64 bits; always finite
//   bool start_object(); bool end_object(); bool start_array(); bool end_array();
//   void syntax_error(size_t byte, std::string_view what)   the first byte is 1; nothing is called afterwards
// Accepted is what RFC 8259 calls a JSON text, alone, with at most 64 levels. Refused are, beside everything else, a byte order
// mark (section 8.1: must not be sent), unpaired surrogates, invalid UTF-8, numbers too large for a double, and whatever stands
// behind.
template <typename Handler>
class JsonReader {
 public:
  JsonReader(std::string_view text, Handler& handler) : text_(text), handler_(handler) {}

  // True if the whole text was read and the handler never stopped.
  bool Read() {
    if (text_.starts_with("\xEF\xBB\xBF")) return Fail("begins with a byte order mark");
    SkipSpace();
    for (;;) {
      if (!Value()) return false;
      // Behind a value: the next one of the container, or its end, as often as containers end here.
      for (;;) {
        SkipSpace();
        if (depth_ == 0) return at_ == text_.size() || Fail("something stands behind the value");
        const char c = Peek();
        if (c == ',') {
          ++at_;
          SkipSpace();
          if (InObject() && !Key()) return false;
          break;
        }
        if (c != (InObject() ? '}' : ']')) return Fail(InObject() ? "expected , or }" : "expected , or ]");
        if (!Close()) return false;
      }
    }
  }

 private:
  static constexpr int kMaxDepth = 64;

  // 0 at the end, where no token begins.
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }
  bool Fail(std::string_view what) {
    const bool end = at_ >= text_.size();
    handler_.syntax_error(at_ + 1, end ? "the text ends too early" : text_[at_] == '\0' ? "NUL" : what);
    return false;
  }
  bool InObject() const { return (objects_ >> (depth_ - 1)) & 1; }

  // Reads one value; of containers that are not empty the beginning, up to their first value, which it reads too.
  bool Value() {
    for (;;) {
      switch (Peek()) {
        case '"': {
          std::string_view text;
          return String(&text) && handler_.string(text);
        }
        case '{':
        case '[': {
          const bool object = text_[at_] == '{';
          if (depth_ == kMaxDepth) return Fail("nested too deep");
          ++at_;
          if (!(object ? handler_.start_object() : handler_.start_array())) return false;
          objects_ = (objects_ & ~(uint64_t{1} << depth_)) | uint64_t{object} << depth_;
          ++depth_;
          SkipSpace();
          if (Peek() == (object ? '}' : ']')) return Close();
          if (object && !Key()) return false;
          continue;
        }
        case 't': return Word("true") && handler_.boolean(true);
        case 'f': return Word("false") && handler_.boolean(false);
        case 'n': return Word("null") && handler_.null();
        default: return Number();
      }
    }
  }

  bool Close() {
    ++at_;
    const bool object = InObject();
    --depth_;
    return object ? handler_.end_object() : handler_.end_array();
  }

  bool Key() {
    std::string_view name;
    if (Peek() != '"') return Fail("expected a name in quotes");
    if (!String(&name) || !handler_.key(name)) return false;
    SkipSpace();
    if (Peek() != ':') return Fail("expected :");
    ++at_;
    SkipSpace();
    return true;
  }

  bool Word(std::string_view word) {
    for (const char c : word) {
      if (Peek() != c) return Fail("expected a value");
      ++at_;
    }
    return true;
  }

  bool SkipDigits() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > begin || Fail("expected a digit");
  }

  bool Number() {
    const size_t begin = at_;
    const bool negative = Peek() == '-';
    if (negative) ++at_;
    if (Peek() < '0' || Peek() > '9') return Fail(negative ? "expected a digit" : "expected a value");
    if (Peek() == '0') {
      ++at_;
      if (Peek() >= '0' && Peek() <= '9') return Fail("a number begins with 0");
    } else if (!SkipDigits()) {
      return false;
    }
    bool whole = true;
    if (Peek() == '.') {
      whole = false;
      ++at_;
      if (!SkipDigits()) return false;
    }
    if (Peek() == 'e' || Peek() == 'E') {
      whole = false;
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      if (!SkipDigits()) return false;
    }
    const char* const first = text_.data() + begin;
    const char* const last = text_.data() + at_;
    if (whole) {
      if (negative) {
        int64_t value;
        if (std::from_chars(first, last, value).ec == std::errc()) return handler_.number_integer(value);
      } else {
        uint64_t value;
        if (std::from_chars(first, last, value).ec == std::errc()) return handler_.number_unsigned(value);
      }
    }
    double value = 0;
    if (std::from_chars(first, last, value).ec != std::errc()) {
      // Too large, or too small, which is nearly 0: from_chars does not tell which.
      value = std::strtod(std::string(first, last).c_str(), nullptr);
      if (value > 1 || value < -1) {
        at_ = begin;
        return Fail("the number is too large");
      }
    }
    return handler_.number_float(value);
  }

  // From the opening to behind the closing quote.
  bool String(std::string_view* text) {
    const size_t begin = ++at_;
    for (;;) {
      if (at_ >= text_.size()) return Fail("");
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        *text = text_.substr(begin, at_++ - begin);
        return true;
      }
      if (c == '\\') return StringWithEscapes(begin, text);
      if (c < 0x20) return Fail("a control character in a text");
      if (c < 0x80) {
        ++at_;
      } else if (!Utf8()) {
        return false;
      }
    }
  }

  bool StringWithEscapes(size_t begin, std::string_view* text) {
    scratch_.assign(text_, begin, at_ - begin);
    for (;;) {
      if (at_ >= text_.size()) return Fail("");
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        ++at_;
        *text = scratch_;
        return true;
      }
      if (c < 0x20) return Fail("a control character in a text");
      const size_t from = at_;
      if (c == '\\') {
        if (!Escape()) return false;
        continue;
      }
      if (c < 0x80) {
        ++at_;
      } else if (!Utf8()) {
        return false;
      }
      scratch_.append(text_, from, at_ - from);
    }
  }

  bool Escape() {
    ++at_;
    switch (Peek()) {
      case '"': scratch_ += '"'; break;
      case '\\': scratch_ += '\\'; break;
      case '/': scratch_ += '/'; break;
      case 'b': scratch_ += '\b'; break;
      case 'f': scratch_ += '\f'; break;
      case 'n': scratch_ += '\n'; break;
      case 'r': scratch_ += '\r'; break;
      case 't': scratch_ += '\t'; break;
      case 'u': return Unicode();
      default: return Fail("no such escape");
    }
    ++at_;
    return true;
  }

  bool Unicode() {
    uint32_t code = 0;
    const size_t begin = at_;
    if (!FourDigits(&code)) return false;
    if (code >= 0xDC00 && code <= 0xDFFF) {
      at_ = begin;
      return Fail("half of a surrogate pair");
    }
    if (code >= 0xD800 && code <= 0xDBFF) {
      uint32_t low = 0;
      if (Peek() != '\\') return Fail("half of a surrogate pair");
      ++at_;
      if (Peek() != 'u') return Fail("half of a surrogate pair");
      if (!FourDigits(&low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) {
        at_ = begin;
        return Fail("half of a surrogate pair");
      }
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (code < 0x80) {
      scratch_ += static_cast<char>(code);
    } else if (code < 0x800) {
      scratch_ += static_cast<char>(0xC0 | code >> 6);
      scratch_ += static_cast<char>(0x80 | (code & 0x3F));
    } else {
      if (code < 0x10000) {
        scratch_ += static_cast<char>(0xE0 | code >> 12);
      } else {
        scratch_ += static_cast<char>(0xF0 | code >> 18);
        scratch_ += static_cast<char>(0x80 | (code >> 12 & 0x3F));
      }
      scratch_ += static_cast<char>(0x80 | (code >> 6 & 0x3F));
      scratch_ += static_cast<char>(0x80 | (code & 0x3F));
    }
    return true;
  }

  // Behind a u, which at_ is on.
  bool FourDigits(uint32_t* code) {
    ++at_;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = Peek();
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (digit < 0) return Fail("expected four hexadecimal digits");
      *code = *code << 4 | static_cast<uint32_t>(digit);
    }
    return true;
  }

  // One character of more than one byte (RFC 3629, section 4).
  bool Utf8() {
    const auto byte = [this](size_t i) { return at_ + i < text_.size() ? static_cast<unsigned char>(text_[at_ + i]) : 0u; };
    const auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
    const unsigned first = byte(0), second = byte(1);
    size_t size = 0;
    if (first >= 0xC2 && first <= 0xDF) {
      size = tail(1) ? 2 : 0;
    } else if (first >= 0xE0 && first <= 0xEF) {
      const bool good = first == 0xE0 ? second >= 0xA0 && second <= 0xBF : first == 0xED ? second >= 0x80 && second <= 0x9F : tail(1);
      size = good && tail(2) ? 3 : 0;
    } else if (first >= 0xF0 && first <= 0xF4) {
      const bool good = first == 0xF0 ? second >= 0x90 && second <= 0xBF : first == 0xF4 ? second >= 0x80 && second <= 0x8F : tail(1);
      size = good && tail(2) && tail(3) ? 4 : 0;
    }
    if (size == 0) return Fail("invalid UTF-8");
    at_ += size;
    return true;
  }

  const std::string_view text_;
  Handler& handler_;
  size_t at_ = 0;
  int depth_ = 0;
  uint64_t objects_ = 0;   // bit n: the container at depth n + 1 is an object
  std::string scratch_;    // the text or name read last, where it has escapes
};

template <typename Handler>
bool ReadJson(std::string_view text, Handler& handler) {
  return JsonReader<Handler>(text, handler).Read();
}

}  // namespace sluice::devices
