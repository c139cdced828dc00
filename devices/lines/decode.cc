#include "devices/lines/decode.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/strings.h"
#include "nlohmann/json.hpp"
#include "re2/re2.h"

namespace sluice::lines {
namespace {

using devices::DecodedEvent;
using devices::EventFields;
using devices::JsonEventFacts;

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// "+  1.245" and "- 12" too, as scales write them.
std::optional<double> NumberOf(std::string_view text) {
  std::string digits;
  for (char c : text) {
    if (c != ' ') digits += c;
  }
  std::string_view rest = digits;
  if (rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.empty() || rest.starts_with('+')) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc() || end != rest.data() + rest.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<int> HexByte(std::string_view two) {
  int value = 0;
  const auto [end, error] = std::from_chars(two.data(), two.data() + two.size(), value, 16);
  if (two.size() != 2 || error != std::errc() || end != two.data() + 2 || two[0] == '-') return std::nullopt;
  return value;
}

absl::Status CheckXor(std::string_view over, std::string_view value) {
  int sum = 0;
  if (over.size() % 2 != 0) return absl::InvalidArgumentError("checksum: the hexadecimal text has an odd length");
  for (size_t i = 0; i < over.size(); i += 2) {
    const std::optional<int> byte = HexByte(over.substr(i, 2));
    if (!byte) return absl::InvalidArgumentError("checksum: the text is not hexadecimal");
    sum ^= *byte;
  }
  if (const std::optional<int> told = HexByte(value); !told || *told != sum) {
    return absl::InvalidArgumentError("checksum: does not match");
  }
  return absl::OkStatus();
}

absl::Status CheckSum7(std::string_view over, std::string_view value, int plus) {
  int sum = plus;
  for (std::string_view bytes : {over, value}) {
    for (const char byte : bytes) sum += static_cast<unsigned char>(byte);
  }
  return value.size() == 1 && sum % 128 == 0 ? absl::OkStatus() : absl::InvalidArgumentError("checksum: does not match");
}

// 0.1 and its kind are no exact doubles, ten is: 3 × 0.1 is not 0.3, 3 ÷ 10 is.
double Scaled(double value, double factor) {
  const double inverse = std::round(1 / factor);
  if (std::fabs(inverse) > 1 && std::fabs(inverse * factor - 1) < 1e-12) return value / inverse;
  return value * factor + 0.0;   // no negative zero
}

// Doubles like 12.345 are not exact: half a billionth is no change.
bool SameNumber(double a, double b, double min_change) {
  const double tolerance = 1e-9 * std::max(1.0, std::fabs(a));
  return std::fabs(a - b) < std::max(min_change - tolerance, tolerance);
}

}  // namespace

// What a line says, by name.
class LineDecoder::Groups {
 public:
  void Set(std::string name, std::string value) { values_.insert_or_assign(std::move(name), std::move(value)); }
  // Nothing if there is no such group, or it took no part.
  const std::string* Find(const std::string& name) const {
    const auto at = values_.find(name);
    return at == values_.end() ? nullptr : &at->second;
  }

 private:
  std::map<std::string, std::string> values_;
};

LineDecoder::LineDecoder(Profile profile, std::string device) : profile_(std::move(profile)), device_(std::move(device)) {}

void LineDecoder::Forget() { last_.reset(); }

absl::StatusOr<std::optional<DecodedEvent>> LineDecoder::Decode(std::string_view line, int64_t now_ms, JsonEventFacts* facts) {
  JsonEventFacts ignored;
  JsonEventFacts& known = facts != nullptr ? *facts : ignored;
  known = FactsOfAnyLine();
  if (profile_.format == LineFormat::kEvents) {
    absl::StatusOr<DecodedEvent> event = devices::DecodeJsonEvent(line, {.device = device_, .kind = {}, .may_repeat_device = true}, &known);
    // A garbled line is no word of the device: a number in it may be another's.
    if (!known.well_formed) known.numbering = devices::Numbering();
    if (!event.ok()) return event.status();
    return std::optional<DecodedEvent>(*std::move(event));
  }

  Groups groups;
  if (profile_.ignore && RE2::FullMatch(re2::StringPiece(line.data(), line.size()), *profile_.ignore)) {
    return std::optional<DecodedEvent>();
  }
  if (profile_.format == LineFormat::kRegex) {
    const RE2& pattern = *profile_.pattern;
    std::vector<re2::StringPiece> parts(static_cast<size_t>(pattern.NumberOfCapturingGroups()) + 1);
    if (!pattern.Match(re2::StringPiece(line.data(), line.size()), 0, line.size(), RE2::ANCHOR_BOTH, parts.data(),
                       static_cast<int>(parts.size()))) {
      return absl::InvalidArgumentError(StrCat("line: does not match the pattern of profile ", profile_.name));
    }
    for (const auto& [name, index] : pattern.NamedCapturingGroups()) {
      const re2::StringPiece& part = parts[static_cast<size_t>(index)];
      if (part.data() != nullptr) groups.Set(name, std::string(part.data(), part.size()));
    }
  } else {
    // nlohmann takes a NUL for the end of the text.
    if (line.find('\0') != std::string_view::npos) return absl::InvalidArgumentError("line: must be one JSON object");
    const nlohmann::json json = nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
    if (json.is_discarded() || !json.is_object()) return absl::InvalidArgumentError("line: must be one JSON object");
    for (const auto& [name, value] : json.items()) {
      if (value.is_string()) {
        groups.Set(name, value.get<std::string>());
      } else if (value.is_number() || value.is_boolean()) {
        groups.Set(name, value.dump());
      }
    }
  }

  if (profile_.checksum) {
    const std::string* over = groups.Find(profile_.checksum->over);
    const std::string* value = groups.Find(profile_.checksum->value);
    if (over == nullptr || value == nullptr) return absl::InvalidArgumentError("checksum: missing");
    RETURN_IF_ERROR(profile_.checksum->type == ChecksumType::kSum7 ? CheckSum7(*over, *value, profile_.checksum->plus)
                                                                   : CheckXor(*over, *value));
  }
  RETURN_IF_ERROR(AddBits(groups));
  if (!profile_.stable_from.empty()) {
    const std::string* state = groups.Find(profile_.stable_from);
    if (state == nullptr || Trimmed(*state) != profile_.stable_is) return std::optional<DecodedEvent>();
  }
  ASSIGN_OR_RETURN(DecodedEvent event, Build(groups));
  if (SaysNothingNew(event.event, now_ms)) return std::optional<DecodedEvent>();
  return std::optional<DecodedEvent>(std::move(event));
}

JsonEventFacts LineDecoder::FactsOfAnyLine() const {
  JsonEventFacts facts;
  facts.device = device_;
  if (profile_.format != LineFormat::kEvents) facts.kind = profile_.kind;
  return facts;
}

absl::Status LineDecoder::AddBits(Groups& groups) const {
  for (const BitsRule& rule : profile_.bits) {
    std::string said;
    for (const BitsRule::Part& part : rule.parts) {
      const std::string* byte = groups.Find(part.from);
      if (byte == nullptr || byte->size() != 1) return absl::InvalidArgumentError(StrCat("line: ", part.from, " is not one byte"));
      const int bits = (static_cast<unsigned char>((*byte)[0]) & part.mask) >> std::countr_zero(static_cast<unsigned>(part.mask));
      said += StrCat(said.empty() ? "" : "-", bits);
    }
    groups.Set(rule.name, std::move(said));
  }
  return absl::OkStatus();
}

absl::StatusOr<DecodedEvent> LineDecoder::Build(const Groups& groups) const {
  EventFields fields;
  for (const FieldRule& rule : profile_.fields) RETURN_IF_ERROR(AddField(rule, groups, fields));
  if (profile_.kind == devices::EventKind::kTelemetry) RETURN_IF_ERROR(fields.MarkSeen(devices::Member::kValues));
  return std::move(fields).Build(device_, profile_.kind);
}

absl::Status LineDecoder::AddField(const FieldRule& rule, const Groups& groups, EventFields& fields) const {
  std::string_view text = rule.constant;
  if (!rule.from.empty()) {
    const std::string* group = groups.Find(rule.from);
    if (group == nullptr || Trimmed(*group).empty()) {
      if (rule.optional) return absl::OkStatus();
      return absl::InvalidArgumentError(StrCat("line: has no ", rule.from));
    }
    text = Trimmed(*group);
  }
  const auto number = [&]() -> absl::StatusOr<double> {
    const std::optional<double> value = NumberOf(text);
    if (!value) return absl::InvalidArgumentError(StrCat("line: ", rule.from, " is not a number"));
    double scaled = Scaled(*value, rule.factor);
    for (const std::string& group : rule.factor_from) {
      const std::string* said = groups.Find(group);
      const auto& factors = profile_.factors.at(group);
      const auto factor = said == nullptr ? factors.end() : factors.find(*said);
      if (factor == factors.end()) {
        return absl::InvalidArgumentError(
            StrCat("line: ", group, said == nullptr ? " is missing" : StrCat(" is ", *said), ", which [factors.", group,
                   "] of profile ", profile_.name, " does not name"));
      }
      scaled = Scaled(scaled, factor->second);
    }
    return scaled;
  };
  const auto flag = [&]() -> absl::StatusOr<bool> {
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
    return absl::InvalidArgumentError(StrCat("line: ", rule.from, " is neither true nor false"));
  };

  if (rule.member) {
    switch (devices::TypeOf(*rule.member)) {
      case devices::MemberType::kInteger: {
        ASSIGN_OR_RETURN(const double value, number());
        const double rounded = std::round(value);
        if (std::fabs(rounded) > 9e15 || std::fabs(rounded - value) > 1e-6) {
          return absl::InvalidArgumentError(
              StrCat(devices::MemberName(*rule.member), ": must be ", devices::AllowedIn(*rule.member)));
        }
        return fields.SetInteger(*rule.member, static_cast<int64_t>(rounded));
      }
      case devices::MemberType::kBool: {
        ASSIGN_OR_RETURN(const bool value, flag());
        return fields.SetBool(*rule.member, value);
      }
      case devices::MemberType::kTime: {
        int64_t ms = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
        if (error == std::errc() && end == text.data() + text.size()) return fields.SetInteger(*rule.member, ms);
        return fields.SetText(*rule.member, text);
      }
      default: return fields.SetText(*rule.member, text);
    }
  }

  std::string_view unit = rule.unit;
  double factor = 1;
  if (!rule.unit_from.empty()) {
    const std::string* told = groups.Find(rule.unit_from);
    if (told == nullptr) return absl::InvalidArgumentError(StrCat("line: has no ", rule.unit_from));
    const auto known = profile_.units.find(std::string(Trimmed(*told)));
    if (known == profile_.units.end()) return absl::InvalidArgumentError(StrCat("line: the unit is not in [units] of profile ", profile_.name));
    unit = known->second.unit;
    factor = known->second.factor;
  }
  switch (rule.type) {
    case ValueType::kNumber: {
      ASSIGN_OR_RETURN(const double value, number());
      return fields.AddNumber(rule.value_name, Scaled(value, factor), unit);
    }
    case ValueType::kFlag: {
      ASSIGN_OR_RETURN(const bool value, flag());
      return fields.AddFlag(rule.value_name, value, unit);
    }
    case ValueType::kText: return fields.AddWord(rule.value_name, text, unit);
  }
  return absl::OkStatus();
}

bool LineDecoder::SaysNothingNew(const event::v1::DeviceEvent& event, int64_t now_ms) {
  if (!profile_.only_on_change && profile_.debounce_ms == 0) return false;
  event::v1::DeviceEvent said = event;
  said.clear_device_time_ms();
  said.clear_sequence();
  said.clear_message_id();
  bool same = last_.has_value();
  if (same) {
    // Numbers are compared by themselves, the rest as bytes.
    event::v1::DeviceEvent left = *last_;
    event::v1::DeviceEvent right = said;
    auto& a = *left.mutable_telemetry()->mutable_measurements();
    auto& b = *right.mutable_telemetry()->mutable_measurements();
    for (int i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (a[i].value_case() != event::v1::Measurement::kNumber || b[i].value_case() != event::v1::Measurement::kNumber) continue;
      same = same && SameNumber(a[i].number(), b[i].number(), profile_.min_change);
      a[i].set_number(0);
      b[i].set_number(0);
    }
    if (!event.has_telemetry()) {
      left = *last_;
      right = said;
    }
    same = same && left.SerializeAsString() == right.SerializeAsString();
  }
  const bool recent = profile_.debounce_ms > 0 && now_ms - last_seen_ms_ < profile_.debounce_ms;
  if (same && (profile_.only_on_change || recent)) {
    last_seen_ms_ = now_ms;
    return true;
  }
  last_ = std::move(said);
  last_seen_ms_ = now_ms;
  return false;
}

}  // namespace sluice::lines
