// TOML → Config. toml++ stays in this file.
#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <toml++/toml.h>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/strings.h"
#include "gateway/config/config.h"
#include "gateway/config/rules.h"
#include "gateway/config/visitor.h"

namespace sluice::config {
namespace {

constexpr size_t kMaxErrors = 100;
constexpr size_t kMaxEntries = 256;   // of an array of tables

int64_t LineOf(const toml::node& node) { return static_cast<int64_t>(node.source().begin.line); }

// A value as it may be repeated in an error: short, on one line, without what stands before an @.
std::string Shown(const toml::node& node) {
  std::ostringstream out;
  if (const auto* text = node.as_string()) {
    std::string value = text->get();
    if (const size_t at = value.rfind('@'); at != std::string::npos) value = "…" + value.substr(at);
    out << toml::value<std::string>(value);
  } else if (node.is_table()) {
    out << "{…}";
  } else if (node.is_array()) {
    out << "[…]";
  } else {
    node.visit([&out](const auto& value) { out << value; });
  }
  std::string shown = out.str();
  std::replace_if(shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  if (shown.size() > 80) shown = shown.substr(0, 77) + "...";
  return shown;
}

class Reader final : public Visitor {
 public:
  Reader(const toml::table& root, std::string file) : file_(std::move(file)) { scopes_.push_back({&root, "", {}}); }

  void Section(std::string_view name, const std::function<void()>& keys) override {
    const toml::node* node = Take(name);
    const toml::table* table = node == nullptr ? nullptr : node->as_table();
    if (node != nullptr && table == nullptr) {
      Complain(Path(name), node, StrCat("must be a table: [", Path(name), "]"));
      return;
    }
    scopes_.push_back({table, Path(name), {}});
    keys();
    Leave();
  }

  void Each(std::string_view name, size_t, const std::function<void(size_t)>& resize,
            const std::function<void(size_t)>& keys) override {
    const toml::node* node = Take(name);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr || !array->is_array_of_tables()) {
      if (array == nullptr || !array->empty()) Complain(Path(name), node, StrCat("must be an array of tables: [[", Path(name), "]]"));
      return;
    }
    if (array->size() > kMaxEntries) {
      Complain(Path(name), node, StrCat("at most ", kMaxEntries, " of them"));
      return;
    }
    resize(array->size());
    for (size_t i = 0; i < array->size(); ++i) {
      scopes_.push_back({(*array)[i].as_table(), StrCat(Path(name), "[", i, "]"), {}});
      keys(i);
      Leave();
    }
  }

  void Text(std::string_view key, std::string& value, Need need, const Rule& rule) override {
    const toml::node* node = Take(key);
    if (node == nullptr) {
      if (need == Need::kRequired && value.empty()) Missing(key);
      return;
    }
    const auto* text = node->as_string();
    const std::string wrong = text == nullptr ? "must be a text in quotes"
                              : text->get().empty()
                                  ? (need == Need::kRequired ? "must not be empty" : "")
                                  : rule(text->get());
    if (!wrong.empty()) return Complain(Path(key), node, wrong);
    value = text->get();
  }

  void Texts(std::string_view key, std::vector<std::string>& values, size_t most, const Rule& rule) override {
    const toml::node* node = Take(key);
    if (node == nullptr) return;
    const auto* array = node->as_array();
    if (array == nullptr || array->size() > most) {
      return Complain(Path(key), node, StrCat("must be an array of at most ", most, " texts"));
    }
    std::vector<std::string> taken;
    for (size_t i = 0; i < array->size(); ++i) {
      const toml::node* const each = array->get(i);
      const auto* text = each->as_string();
      const std::string wrong = text == nullptr ? "must be a text in quotes" : rule(text->get());
      if (!wrong.empty()) return Complain(StrCat(Path(key), "[", i, "]"), each, wrong);
      taken.push_back(text->get());
    }
    values = std::move(taken);
  }

  void Path(std::string_view key, std::string& value, Need need) override {
    Text(key, value, need, [](std::string_view path) -> std::string {
      return path.size() < 1024 && path.find('\0') == std::string_view::npos ? "" : "must be a path of at most 1023 bytes";
    });
  }

  void Integer(std::string_view key, int64_t& value, int64_t low, int64_t high) override {
    const toml::node* node = Take(key);
    if (node == nullptr) return;
    const auto* number = node->as_integer();
    if (number == nullptr || number->get() < low || number->get() > high) {
      return Complain(Path(key), node, StrCat("must be a whole number from ", low, " to ", high));
    }
    value = number->get();
  }

  void Size(std::string_view key, uint64_t& value, uint64_t low, uint64_t high) override {
    const toml::node* node = Take(key);
    if (node == nullptr) return;
    std::optional<uint64_t> size;
    if (const auto* text = node->as_string()) size = ParseSize(text->get());
    if (const auto* number = node->as_integer(); number != nullptr && number->get() >= 0) {
      size = static_cast<uint64_t>(number->get());
    }
    if (!size || *size < low || *size > high) {
      return Complain(Path(key), node, StrCat("must be a size from \"", FormatSize(low), "\" to \"", FormatSize(high),
                                              "\" (B, KiB, MiB, GiB, or a number of bytes)"));
    }
    value = *size;
  }

  void Flag(std::string_view key, bool& value) override {
    const toml::node* node = Take(key);
    if (node == nullptr) return;
    const auto* flag = node->as_boolean();
    if (flag == nullptr) return Complain(Path(key), node, "must be true or false");
    value = flag->get();
  }

  // Of the file itself, once everything was described.
  void Finish() { Leave(); }

  // An error found later, by the key's path.
  void ComplainAt(const std::string& path, const std::string& message) {
    const auto at = seen_.find(path);
    const toml::node* node = at == seen_.end() ? nullptr : at->second;
    Complain(path, node, message);
  }

  // In the order of the lines; empty: all is well.
  std::string Errors() {
    std::stable_sort(errors_.begin(), errors_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string out;
    for (const auto& [line, text] : errors_) out += StrCat(out.empty() ? "" : "\n", text);
    return out;
  }

 private:
  struct Scope {
    const toml::table* table;   // null: the section is not there
    std::string path;
    std::vector<std::string> known;
  };

  std::string Path(std::string_view key) const {
    return scopes_.back().path.empty() ? std::string(key) : StrCat(scopes_.back().path, ".", key);
  }

  const toml::node* Take(std::string_view key) {
    Scope& scope = scopes_.back();
    scope.known.emplace_back(key);
    const toml::node* node = scope.table == nullptr ? nullptr : scope.table->get(key);
    if (node != nullptr) seen_.emplace(Path(key), node);
    return node;
  }

  void Leave() {
    const Scope scope = std::move(scopes_.back());
    if (scope.table != nullptr) {
      for (const auto& [key, node] : *scope.table) {
        const std::string name(key.str());
        if (std::find(scope.known.begin(), scope.known.end(), name) == scope.known.end()) Unknown(scope, name, node);
      }
    }
    scopes_.pop_back();
  }

  void Unknown(const Scope& scope, const std::string& name, const toml::node& node) {
    const std::string path = scope.path.empty() ? name : StrCat(scope.path, ".", name);
    std::string message = "no such key";
    if (name == "password") {
      message = "no secret belongs in this file: put it into a file with mode 0600 and name that in password_file";
    } else if (const auto nearest = Nearest(name, scope.known); !nearest.empty()) {
      message = StrCat(node.is_table() ? "no such table" : "no such key", ": did you mean ", nearest, "?");
    } else if (!scope.known.empty()) {
      message += "; there are";
      for (const std::string& known : scope.known) message += StrCat(" ", known);
    }
    Add(LineOf(node), StrCat(path, ": ", message));   // without the value: it may be a secret
  }

  void Missing(std::string_view key) {
    const Scope& scope = scopes_.back();
    Add(scope.table == nullptr ? 0 : LineOf(*scope.table), StrCat(Path(key), ": is missing"));
  }

  void Complain(const std::string& path, const toml::node* node, const std::string& message) {
    if (node == nullptr) return Add(0, StrCat(path, ": ", message));
    Add(LineOf(*node), StrCat(path, " = ", Shown(*node), ": ", message));
  }

  void Add(int64_t line, const std::string& text) {
    if (errors_.size() >= kMaxErrors) return;
    errors_.emplace_back(line, line > 0 ? StrCat(file_, ":", line, ": ", text) : StrCat(file_, ": ", text));
  }

  const std::string file_;
  std::vector<Scope> scopes_;
  std::map<std::string, const toml::node*> seen_;
  std::vector<std::pair<int64_t, std::string>> errors_;
};

}  // namespace

absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& file) {
  toml::table root;
  try {
    root = toml::parse(std::string_view(text), std::string_view(file));
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(StrCat(file, ":", static_cast<int64_t>(error.source().begin.line), ": ",
                                             std::string(error.description())));
  }
  Config config;
  Reader reader(root, file);
  Describe(reader, config);
  reader.Finish();
  CheckTogether(config, [&reader](const std::string& path, const std::string& message) { reader.ComplainAt(path, message); });
  std::string errors = reader.Errors();
  if (!errors.empty()) return absl::InvalidArgumentError(errors);
  return config;
}

}  // namespace sluice::config
