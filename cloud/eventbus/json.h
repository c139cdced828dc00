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

// One object, members in the order of the calls. Close ends it.
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_.push_back('{'); }

  JsonObject& Text(std::string_view name, std::string_view value) {
    Name(name);
    AppendJsonString(out_, value);
    return *this;
  }
  JsonObject& Number(std::string_view name, int64_t value) {
    Name(name);
    AppendJsonNumber(out_, value);
    return *this;
  }
  JsonObject& Unsigned(std::string_view name, uint64_t value);
  JsonObject& Number(std::string_view name, double value) {
    Name(name);
    AppendJsonNumber(out_, value);
    return *this;
  }
  JsonObject& Bool(std::string_view name, bool value) {
    Name(name);
    out_.append(value ? "true" : "false");
    return *this;
  }
  JsonObject& Seconds(std::string_view name, int64_t unix_ms) {
    Name(name);
    AppendJsonSeconds(out_, unix_ms);
    return *this;
  }
  // The caller appends the value.
  std::string& Value(std::string_view name) {
    Name(name);
    return out_;
  }
  void Close() { out_.push_back('}'); }

 private:
  // Names are our own constants, or go through AppendJsonString where they are not.
  void Name(std::string_view name);

  std::string& out_;
  bool first_ = true;
};

}  // namespace sluice::eventbus
