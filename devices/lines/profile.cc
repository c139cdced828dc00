#include "devices/lines/profile.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "base/strings.h"
#include "re2/re2.h"
#include "toml++/toml.h"

namespace sluice::lines {
namespace {

constexpr size_t kMaxProfileBytes = 64 * 1024;

// Reads one profile. The first thing that is wrong ends up in error_; later calls change nothing then.
class Reader {
 public:
  Reader(const toml::table& root, std::string file) : root_(root), file_(std::move(file)) {}

  absl::StatusOr<Profile> Read() {
    Known(root_, "", {"name", "serial", "framing", "line", "bits", "fields", "factors", "units", "checksum",
                      "stable", "emit", "poll", "silence", "receipts"});
    Profile profile;
    profile.name = Text(root_, "name", "");
    if (profile.name.empty()) Fail(root_, "name", "missing; must be the profile's name");
    profile.receipts = Flag(root_, "receipts", false);
    ReadSerial(profile.serial);
    ReadFraming(profile.framing);
    ReadLine(profile);
    ReadBits(profile);
    ReadUnits(profile);
    ReadFactors(profile);
    ReadFields(profile);
    ReadRules(profile);
    CheckGroups(profile);
    if (!error_.ok()) return error_;
    return profile;
  }

 private:
  using Words = std::initializer_list<std::pair<std::string_view, int>>;

  void Fail(const toml::node& at, std::string_view key, std::string_view what) {
    if (error_.ok()) error_ = absl::InvalidArgumentError(StrCat(file_, ":", at.source().begin.line, ": ", key, ": ", what));
  }
  // Fails at the value if it is there, else at its table.
  void FailAt(const toml::table& table, std::string_view key, std::string_view what) {
    const toml::node* node = table.get(key);
    Fail(node != nullptr ? *node : table, Path(table, key), what);
  }
  std::string Path(const toml::table& table, std::string_view key) const {
    const auto at = paths_.find(&table);
    return at == paths_.end() || at->second.empty() ? std::string(key) : StrCat(at->second, ".", key);
  }

  // A typo must not be a default in silence.
  void Known(const toml::table& table, const std::string& path, std::initializer_list<std::string_view> keys) {
    paths_[&table] = path;
    std::string all;
    for (std::string_view key : keys) all += StrCat(all.empty() ? "" : ", ", key);
    for (const auto& [key, value] : table) {
      bool known = false;
      for (std::string_view allowed : keys) known = known || allowed == key.str();
      if (!known) Fail(value, Path(table, key.str()), StrCat("unknown; allowed are ", all));
    }
  }
  const toml::table& Section(const std::string& name) {
    static const toml::table kEmpty;
    const toml::node* node = root_.get(name);
    if (node == nullptr) return kEmpty;
    if (!node->is_table()) {
      Fail(*node, name, "must be a table");
      return kEmpty;
    }
    return *node->as_table();
  }

  std::string Text(const toml::table& table, std::string_view key, std::string_view otherwise) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return std::string(otherwise);
    if (!node->is_string()) {
      FailAt(table, key, "must be text");
      return std::string(otherwise);
    }
    return node->as_string()->get();
  }
  bool Flag(const toml::table& table, std::string_view key, bool otherwise) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return otherwise;
    if (!node->is_boolean()) {
      FailAt(table, key, "must be true or false");
      return otherwise;
    }
    return node->as_boolean()->get();
  }
  int64_t Integer(const toml::table& table, std::string_view key, int64_t otherwise, int64_t least, int64_t most) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return otherwise;
    if (!node->is_integer() || node->as_integer()->get() < least || node->as_integer()->get() > most) {
      FailAt(table, key, StrCat("must be an integer from ", least, " to ", most));
      return otherwise;
    }
    return node->as_integer()->get();
  }
  double Number(const toml::table& table, std::string_view key, double otherwise) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return otherwise;
    const std::optional<double> value = node->value<double>();
    if (!node->is_number() || !value || !(*value >= -1e12 && *value <= 1e12)) {
      FailAt(table, key, "must be a number");
      return otherwise;
    }
    return *value;
  }
  int Word(const toml::table& table, std::string_view key, int otherwise, Words words) {
    if (table.get(key) == nullptr) return otherwise;
    const std::string text = Text(table, key, "");
    std::string all;
    for (const auto& [word, number] : words) {
      if (word == text) return number;
      all += StrCat(all.empty() ? "" : ", ", word);
    }
    FailAt(table, key, StrCat("must be one of ", all));
    return otherwise;
  }
  std::shared_ptr<const RE2> Pattern(const toml::table& table, std::string_view key) {
    const std::string text = Text(table, key, "");
    if (text.empty()) return nullptr;
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    auto pattern = std::make_shared<const RE2>(text, options);
    if (!pattern->ok()) FailAt(table, key, StrCat("is no regular expression of RE2: ", pattern->error()));
    // \C takes half a character, and half a character is no text.
    if (text.find("\\C") != std::string::npos) FailAt(table, key, "\\C is not allowed");
    return pattern;
  }

  void ReadSerial(transport::SerialOptions& serial) {
    const toml::table& table = Section("serial");
    Known(table, "serial", {"baud", "data_bits", "parity", "stop_bits", "flow", "mask_bit7", "rs485", "rs485_rts_on_send",
                            "rs485_delay_before_ms", "rs485_delay_after_ms"});
    serial.baud = static_cast<int>(Integer(table, "baud", serial.baud, 300, 921600));
    serial.data_bits = static_cast<int>(Integer(table, "data_bits", serial.data_bits, 5, 8));
    serial.parity = static_cast<transport::Parity>(Word(table, "parity", 0, {{"none", 0}, {"even", 1}, {"odd", 2}}));
    serial.stop_bits = static_cast<int>(Integer(table, "stop_bits", serial.stop_bits, 1, 2));
    serial.flow = static_cast<transport::FlowControl>(Word(table, "flow", 0, {{"none", 0}, {"rts-cts", 1}, {"xon-xoff", 2}}));
    serial.mask_bit7 = Flag(table, "mask_bit7", false);
    serial.rs485 = Flag(table, "rs485", false);
    serial.rs485_rts_on_send = Flag(table, "rs485_rts_on_send", true);
    serial.rs485_delay_before_ms = static_cast<int>(Integer(table, "rs485_delay_before_ms", 0, 0, 100));
    serial.rs485_delay_after_ms = static_cast<int>(Integer(table, "rs485_delay_after_ms", 0, 0, 100));
    transport::SerialOptions with_path = serial;
    with_path.path = "/dev/null";
    if (absl::Status status = transport::CheckSerialOptions(with_path); !status.ok()) FailAt(table, "baud", MessageOf(status));
  }

  void ReadFraming(transport::FramingOptions& framing) {
    const toml::table& table = Section("framing");
    Known(table, "framing", {"start", "end", "length", "max_length", "idle_ms", "idle_ends"});
    framing.start = Text(table, "start", framing.start);
    framing.end = Text(table, "end", framing.end);
    framing.max_length = static_cast<size_t>(Integer(table, "max_length", 1024, 1, 65536));
    framing.idle_ms = Integer(table, "idle_ms", framing.idle_ms, 10, 60'000);
    framing.idle_ends = Flag(table, "idle_ends", framing.idle_ends);
    framing.length = static_cast<size_t>(Integer(table, "length", 0, 1, 65536));
    if (framing.length > 0) {
      if (framing.start.empty()) FailAt(table, "start", "missing; a frame of a fixed length needs its first byte");
      for (const char* other : {"end", "max_length", "idle_ends"}) {
        if (table.contains(other)) FailAt(table, other, "not allowed beside length");
      }
      framing.end.clear();
      framing.max_length = framing.length;
      return;
    }
    if (framing.end.empty() && !framing.idle_ends) FailAt(table, "end", "must name at least one byte, or idle_ends must be true");
  }

  void ReadLine(Profile& profile) {
    const toml::table& table = Section("line");
    Known(table, "line", {"format", "pattern", "ignore", "kind"});
    profile.format = static_cast<LineFormat>(Word(table, "format", 0, {{"regex", 0}, {"json", 1}, {"events", 2}}));
    profile.pattern = Pattern(table, "pattern");
    profile.ignore = Pattern(table, "ignore");
    if ((profile.format == LineFormat::kRegex) != (profile.pattern != nullptr)) {
      FailAt(table, "pattern", profile.pattern ? "only allowed with format regex" : "missing; format regex needs it");
    }
    if (profile.format == LineFormat::kEvents) {
      if (table.contains("kind") || table.contains("ignore")) FailAt(table, "kind", "not allowed with format events: each line names its kind");
      return;
    }
    const std::string kind = Text(table, "kind", "");
    if (const auto known = devices::EventKindOf(kind)) {
      profile.kind = *known;
    } else {
      FailAt(table, "kind", StrCat("must be one of ", devices::EventKindNames()));
    }
  }

  void ReadBits(Profile& profile) {
    const toml::table& table = Section("bits");
    paths_[&table] = "bits";
    if (!table.empty() && profile.format != LineFormat::kRegex) Fail(table, "bits", "only allowed with format regex");
    for (const auto& [key, value] : table) {
      BitsRule rule{.name = std::string(key.str())};
      const std::string path = Path(table, rule.name);
      const auto part = [&](const toml::node& node) {
        const toml::table* one = node.as_table();
        if (one == nullptr) return Fail(node, path, "must be { from = \"group\", mask = … } or a list of such");
        Known(*one, path, {"from", "mask"});
        rule.parts.push_back({Text(*one, "from", ""), static_cast<int>(Integer(*one, "mask", 0, 1, 255))});
        if (rule.parts.back().mask == 0 || rule.parts.back().from.empty()) Fail(node, path, "needs from and mask");
      };
      if (const toml::array* list = value.as_array()) {
        for (const toml::node& node : *list) part(node);
      } else {
        part(value);
      }
      if (rule.parts.empty()) Fail(value, path, "must name at least one group");
      profile.bits.push_back(std::move(rule));
    }
  }

  void ReadFactors(Profile& profile) {
    const toml::table& table = Section("factors");
    paths_[&table] = "factors";
    for (const auto& [group, said] : table) {
      const toml::table* values = said.as_table();
      if (values == nullptr) {
        Fail(said, Path(table, group.str()), "must be a table of what the group may say, each with a factor");
        continue;
      }
      paths_[values] = Path(table, group.str());
      for (const auto& [text, factor] : *values) {
        profile.factors[std::string(group.str())][std::string(text.str())] = Number(*values, text.str(), 1);
      }
    }
  }

  void ReadUnits(Profile& profile) {
    const toml::table& table = Section("units");
    paths_[&table] = "units";
    for (const auto& [key, value] : table) {
      const toml::table* rule = value.as_table();
      if (rule == nullptr) {
        Fail(value, Path(table, key.str()), "must be { unit = …, factor = … }");
        continue;
      }
      Known(*rule, Path(table, key.str()), {"unit", "factor"});
      profile.units[std::string(key.str())] = {Text(*rule, "unit", key.str()), Number(*rule, "factor", 1)};
    }
  }

  void ReadFields(Profile& profile) {
    const toml::table& table = Section("fields");
    paths_[&table] = "fields";
    if ((profile.format == LineFormat::kEvents) != table.empty()) {
      Fail(table.empty() ? root_ : table, "fields", table.empty() ? "missing; must say where the event's members come from"
                                                                  : "not allowed with format events");
      return;
    }
    for (const auto& [key, value] : table) {
      const std::string name(key.str());
      if (name == "values" && value.is_table()) {
        paths_[value.as_table()] = "fields.values";
        for (const auto& [value_key, rule] : *value.as_table()) {
          ReadField(profile, std::nullopt, std::string(value_key.str()), StrCat("fields.values.", value_key.str()), rule);
        }
        continue;
      }
      const std::optional<devices::Member> member = devices::MemberOf(name);
      if (!member || devices::TypeOf(*member) == devices::MemberType::kAttributes || *member == devices::Member::kValues) {
        Fail(value, StrCat("fields.", name),
             StrCat("unknown; allowed are values.<name>, time, boot, seq, id and ", devices::MembersOf(profile.kind)));
        continue;
      }
      ReadField(profile, member, "", StrCat("fields.", name), value);
    }
  }

  void ReadField(Profile& profile, std::optional<devices::Member> member, std::string value_name, const std::string& path,
                 const toml::node& node) {
    FieldRule rule{.member = member, .value_name = std::move(value_name)};
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      Fail(node, path, "must be { from = \"group\" } or { constant = … }");
      return;
    }
    if (member) {
      Known(*table, path, {"from", "constant", "factor", "optional"});
    } else {
      Known(*table, path, {"from", "constant", "factor", "factor_from", "optional", "type", "unit", "unit_from"});
    }
    rule.from = Text(*table, "from", "");
    if (const toml::node* constant = table->get("constant")) {
      if (constant->is_string()) rule.constant = constant->as_string()->get();
      else if (constant->is_integer()) rule.constant = StrCat(constant->as_integer()->get());
      else if (constant->is_boolean()) rule.constant = constant->as_boolean()->get() ? "true" : "false";
      else FailAt(*table, "constant", "must be text, an integer or a boolean");
    }
    if (rule.from.empty() == !table->contains("constant")) Fail(node, path, "needs either from or constant");
    rule.factor = Number(*table, "factor", 1);
    rule.optional = Flag(*table, "optional", false);
    rule.type = static_cast<ValueType>(Word(*table, "type", 0, {{"number", 0}, {"text", 1}, {"flag", 2}}));
    rule.unit = Text(*table, "unit", "");
    rule.unit_from = Text(*table, "unit_from", "");
    if (!rule.unit.empty() && !rule.unit_from.empty()) FailAt(*table, "unit_from", "not allowed beside unit");
    if (!rule.unit_from.empty() && profile.units.empty()) FailAt(*table, "unit_from", "needs a table [units]");
    if (const toml::node* groups = table->get("factor_from")) {
      const toml::array* list = groups->as_array();
      if (list == nullptr || !list->is_homogeneous(toml::node_type::string)) FailAt(*table, "factor_from", "must be a list of groups");
      for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
        const std::string group = list->at(i).value_or(std::string());
        if (!profile.factors.contains(group)) FailAt(*table, "factor_from", StrCat("needs a table [factors.", group, "]"));
        rule.factor_from.push_back(group);
      }
    }
    profile.fields.push_back(std::move(rule));
  }

  void ReadRules(Profile& profile) {
    const toml::table& checksum = Section("checksum");
    Known(checksum, "checksum", {"type", "over", "value", "plus"});
    if (!checksum.empty()) {
      profile.checksum = ChecksumRule{
          .type = static_cast<ChecksumType>(Word(checksum, "type", 0, {{"xor-hex", 0}, {"sum7", 1}})),
          .over = Text(checksum, "over", ""),
          .value = Text(checksum, "value", ""),
          .plus = static_cast<int>(Integer(checksum, "plus", 0, 0, 255))};
      if (checksum.contains("plus") && profile.checksum->type != ChecksumType::kSum7) {
        FailAt(checksum, "plus", "only allowed with type sum7");
      }
      if (profile.checksum->over.empty() || profile.checksum->value.empty()) {
        Fail(checksum, "checksum", "needs type, over and value");
      }
    }
    const toml::table& stable = Section("stable");
    Known(stable, "stable", {"from", "is"});
    profile.stable_from = Text(stable, "from", "");
    profile.stable_is = Text(stable, "is", "");
    if (!stable.empty() && (profile.stable_from.empty() || profile.stable_is.empty())) Fail(stable, "stable", "needs from and is");

    const toml::table& emit = Section("emit");
    Known(emit, "emit", {"only_on_change", "min_change", "debounce_ms"});
    profile.only_on_change = Flag(emit, "only_on_change", false);
    profile.min_change = Number(emit, "min_change", 0);
    if (profile.min_change < 0) FailAt(emit, "min_change", "must be 0 or more");
    profile.debounce_ms = Integer(emit, "debounce_ms", 0, 0, 3'600'000);

    const toml::table& silence = Section("silence");
    Known(silence, "silence", {"offline_after_ms"});
    profile.offline_after_ms = Integer(silence, "offline_after_ms", 0, 0, 86'400'000);

    const toml::table& poll = Section("poll");
    Known(poll, "poll", {"send", "every_ms"});
    profile.poll = Text(poll, "send", "");
    profile.poll_ms = Integer(poll, "every_ms", 1000, 50, 3'600'000);
    if (!poll.empty() && profile.poll.empty()) Fail(poll, "poll.send", "missing; must be the bytes to send");
  }

  // Every group that is asked for is in the pattern.
  void CheckGroups(const Profile& profile) {
    if (profile.format != LineFormat::kRegex || !profile.pattern || !profile.pattern->ok()) return;
    const auto& groups = profile.pattern->NamedCapturingGroups();
    std::string all;
    for (const auto& [name, index] : groups) all += StrCat(all.empty() ? "" : ", ", name);
    const auto check = [&](const std::string& name, std::string_view where, bool bits_too = true) {
      const bool is_bits = bits_too && std::any_of(profile.bits.begin(), profile.bits.end(),
                                                   [&](const BitsRule& rule) { return rule.name == name; });
      if (!name.empty() && !is_bits && groups.find(name) == groups.end()) {
        Fail(*root_.get("line"), where, StrCat("the pattern has no group ", name, "; it has ", all));
      }
    };
    for (const FieldRule& rule : profile.fields) {
      check(rule.from, "fields");
      check(rule.unit_from, "fields");
      for (const std::string& group : rule.factor_from) check(group, "fields");
    }
    for (const BitsRule& rule : profile.bits) {
      for (const BitsRule::Part& part : rule.parts) check(part.from, "bits", false);
    }
    if (profile.checksum) {
      check(profile.checksum->over, "checksum.over");
      check(profile.checksum->value, "checksum.value");
    }
    check(profile.stable_from, "stable.from");
  }

  const toml::table& root_;
  const std::string file_;
  std::map<const toml::table*, std::string> paths_;
  absl::Status error_;
};

}  // namespace

absl::StatusOr<Profile> ParseProfile(std::string_view toml, const std::string& file) {
  if (toml.size() > kMaxProfileBytes) {
    return absl::InvalidArgumentError(StrCat(file, ": larger than ", kMaxProfileBytes, " bytes"));
  }
  try {
    const toml::table root = toml::parse(toml, file);
    return Reader(root, file).Read();
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(StrCat(file, ":", error.source().begin.line, ": no valid TOML: ", std::string(error.description())));
  }
}

absl::StatusOr<Profile> LoadProfile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxProfileBytes + 1));
  return ParseProfile(text, path);
}

}  // namespace sluice::lines
