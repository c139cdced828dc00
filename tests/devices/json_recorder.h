// What a JSON reader tells, as text: for comparing ours with nlohmann's.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/strings.h"

namespace sluice::devices {

struct JsonRecorder {
  std::string told;
  std::string error;
  size_t error_byte = 0;

  // Ours.
  bool null() { return Add("null"); }
  bool boolean(bool value) { return Add(value ? "true" : "false"); }
  bool number_integer(int64_t value) { return Add(StrCat("i", value)); }
  bool number_unsigned(uint64_t value) { return Add(StrCat("u", value)); }
  bool number_float(double value) {
    char text[64];
    std::snprintf(text, sizeof text, "f%a", value);
    return Add(text);
  }
  bool string(std::string_view value) { return Add(StrCat("s", value.size(), ":", value)); }
  bool key(std::string_view name) { return Add(StrCat("k", name.size(), ":", name)); }
  bool start_object() { return Add("{"); }
  bool end_object() { return Add("}"); }
  bool start_array() { return Add("["); }
  bool end_array() { return Add("]"); }
  void syntax_error(size_t byte, std::string_view what) {
    error_byte = byte;
    error = what;
  }

  // nlohmann's, where they differ.
  bool number_float(double value, const std::string&) { return number_float(value); }
  template <typename Binary>
  bool binary(Binary&) {
    return false;
  }
  bool start_object(std::size_t) { return start_object(); }
  bool start_array(std::size_t) { return start_array(); }
  template <typename Exception>
  bool parse_error(std::size_t byte, const std::string&, const Exception& why) {
    syntax_error(byte, why.what());
    return false;
  }

 private:
  bool Add(std::string_view event) {
    told += StrCat(event, " ");
    return true;
  }
};

}  // namespace sluice::devices
