// JSON by appending: what is published per device event, thousands of times a second.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::eventbus {

// Appends `text` as a JSON string. `text` is UTF-8 (protobuf has checked that); control characters are escaped.
void AppendJsonString(std::string& out, std::string_view text);
// The shortest decimal that reads back the same; null for what JSON cannot say (NaN, infinity).
void AppendJsonNumber(std::string& out, double value);
void AppendJsonNumber(std::string& out, int64_t value);
// Unix milliseconds as seconds with three decimals: 1700000000.123.
void AppendJsonSeconds(std::string& out, int64_t unix_ms);

// A member's name: a constant of ours, which needs no escapes, or any text.
class JsonName {
 public:
  template <size_t kSize>
  consteval JsonName(const char (&constant)[kSize]) : text_(constant, kSize - 1), plain_(true) {
    for (const char c : text_) {
      if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\') plain_ = false;
    }
  }
  JsonName(std::string_view text) : text_(text), plain_(false) {}

  std::string_view text() const { return text_; }
  bool plain() const { return plain_; }

 private:
  std::string_view text_;
  bool plain_;
};

// One object, members in the order of the calls. Close ends it.
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_.push_back('{'); }

  JsonObject& Text(JsonName name, std::string_view value) {
    Name(name);
    AppendJsonString(out_, value);
    return *this;
  }
  JsonObject& Number(JsonName name, int64_t value) {
    Name(name);
    AppendJsonNumber(out_, value);
    return *this;
  }
  JsonObject& Unsigned(JsonName name, uint64_t value);
  JsonObject& Number(JsonName name, double value) {
    Name(name);
    AppendJsonNumber(out_, value);
    return *this;
  }
  JsonObject& Bool(JsonName name, bool value) {
    Name(name);
    out_.append(value ? "true" : "false");
    return *this;
  }
  JsonObject& Seconds(JsonName name, int64_t unix_ms) {
    Name(name);
    AppendJsonSeconds(out_, unix_ms);
    return *this;
  }
  // The caller appends the value.
  std::string& Value(JsonName name) {
    Name(name);
    return out_;
  }
  void Close() { out_.push_back('}'); }

 private:
  void Name(JsonName name);

  std::string& out_;
  bool first_ = true;
};

}  // namespace sluice::eventbus
