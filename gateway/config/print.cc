#include <string>
#include <vector>

#include "base/strings.h"
#include "gateway/config/config.h"
#include "gateway/config/rules.h"
#include "gateway/config/visitor.h"

namespace sluice::config {
namespace {

// TOML 1.0, basic strings.
std::string Quoted(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

class Printer final : public Visitor {
 public:
  void Section(std::string_view name, const std::function<void()>& keys) override {
    Enter(name);
    Header("[", "]");
    keys();
    path_.pop_back();
  }
  void Each(std::string_view name, size_t count, const std::function<void(size_t)>&,
            const std::function<void(size_t)>& keys) override {
    Enter(name);
    for (size_t i = 0; i < count; ++i) {
      Header("[[", "]]");
      keys(i);
    }
    path_.pop_back();
  }
  void Text(std::string_view key, std::string& value, Need, const Rule&) override { Line(key, Quoted(value)); }
  void Texts(std::string_view key, std::vector<std::string>& values, size_t, const Rule&) override {
    std::string list;
    for (const std::string& value : values) list += StrCat(list.empty() ? "" : ", ", Quoted(value));
    Line(key, StrCat("[", list, "]"));
  }
  void Path(std::string_view key, std::string& value, Need) override { Line(key, Quoted(value)); }
  void Integer(std::string_view key, int64_t& value, int64_t, int64_t) override { Line(key, StrCat(value)); }
  void Size(std::string_view key, uint64_t& value, uint64_t, uint64_t) override { Line(key, Quoted(FormatSize(value))); }
  void Flag(std::string_view key, bool& value) override { Line(key, value ? "true" : "false"); }

  std::string Take() { return std::move(out_); }

 private:
  void Enter(std::string_view name) { path_.push_back(path_.empty() ? std::string(name) : StrCat(path_.back(), ".", name)); }
  void Header(std::string_view open, std::string_view close) {
    out_ += StrCat(out_.empty() ? "" : "\n", open, path_.back(), close, "\n");
  }
  void Line(std::string_view key, const std::string& value) { out_ += StrCat(key, " = ", value, "\n"); }

  std::vector<std::string> path_;
  std::string out_;
};

}  // namespace

std::string PrintConfig(const Config& config) {
  Config copy = config;   // the walk is written for readers, which change what they visit
  Printer printer;
  Describe(printer, copy);
  return printer.Take();
}

}  // namespace sluice::config
