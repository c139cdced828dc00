#include "devices/json_event.h"

#include <limits>
#include <utility>
#include <variant>

#include "base/strings.h"
#include "devices/json_reader.h"

namespace sluice::devices {
namespace {

constexpr int kMaxDepth = 8;   // of what is ignored; our own members need 3

// Names in messages: whole characters, nothing that could break a terminal or a log line.
std::string Quoted(std::string_view name) {
  std::string quoted = "'";
  for (char c : name.substr(0, 64)) quoted += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  while (name.size() > 64 && (quoted.back() & 0x80) != 0) quoted.pop_back();
  return quoted + "'";
}

// Takes the events of JsonReader. Goes on after the first wrong member, so that the numbering is found wherever it stands.
class EventReader {
 public:
  explicit EventReader(const JsonEventAddress& address) : address_(address) {}

  bool null() { return Ignored() || Wrong(); }
  bool boolean(bool value) {
    if (Ignored()) return true;
    switch (place_) {
      case Place::kTop:
        if (!member_) return Wrong();
        return Note(fields_.SetBool(*member_, value));
      case Place::kValues: return Note(fields_.AddFlag(name_, value, {}));
      case Place::kMeasurement: return SetValue(value);
      default: return Wrong();
    }
  }
  bool number_integer(int64_t value) {
    if (Ignored()) return true;
    if (place_ == Place::kTop && member_) return NoteInteger(value);
    return Number(static_cast<double>(value));
  }
  bool number_unsigned(uint64_t value) {
    if (Ignored()) return true;
    if (place_ == Place::kTop && member_) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return Wrong();
      return NoteInteger(static_cast<int64_t>(value));
    }
    return Number(static_cast<double>(value));
  }
  bool number_float(double value) {
    if (Ignored()) return true;
    return Number(value);
  }
  bool string(std::string_view value) {
    if (Ignored()) return true;
    switch (place_) {
      case Place::kTop:
        if (naming_ != nullptr) {
          if (naming_seen_[naming_ == &kind_]) {
            kind_twice_ |= naming_ == &kind_;
            return Fail(StrCat(NamingMember(), ": must be given only once"));
          }
          naming_seen_[naming_ == &kind_] = true;
          *naming_ = value.substr(0, 256);
          return true;
        }
        if (!member_) return Wrong();
        return Note(fields_.SetText(*member_, value));
      case Place::kAttributes: return Note(fields_.AddAttribute(name_, value));
      case Place::kValues: return Note(fields_.AddWord(name_, value, {}));
      case Place::kMeasurement:
        if (in_unit_) {
          if (has_unit_) return Fail(StrCat("values.", name_, ".unit: must be given only once"));
          has_unit_ = true;
          unit_ = value;
          return true;
        }
        return SetValue(std::string(value));
      default: return Wrong();
    }
  }

  bool start_object() {
    if (++depth_ > kMaxDepth) return Stop(StrCat("body: nested deeper than ", kMaxDepth));
    if (Ignored()) return ++skip_, true;
    switch (place_) {
      case Place::kOutside: place_ = Place::kTop; return true;
      case Place::kTop:
        if (member_ == Member::kAttributes || member_ == Member::kValues) {
          Note(fields_.MarkSeen(*member_));
          place_ = member_ == Member::kAttributes ? Place::kAttributes : Place::kValues;
          return true;
        }
        break;
      case Place::kValues:
        place_ = Place::kMeasurement;
        has_unit_ = in_unit_ = false;
        unit_.clear();
        value_ = std::monostate();
        return true;
      default: break;
    }
    Wrong();
    return ++skip_, true;
  }
  bool end_object() {
    --depth_;
    if (skip_ > 0) return --skip_, true;
    switch (place_) {
      case Place::kMeasurement: place_ = Place::kValues; return AddMeasurement();
      case Place::kAttributes:
      case Place::kValues: place_ = Place::kTop; return true;
      default: place_ = Place::kOutside; open_number_ = false; return true;
    }
  }
  bool start_array() {
    if (++depth_ > kMaxDepth) return Stop(StrCat("body: nested deeper than ", kMaxDepth));
    if (!Ignored()) Wrong();
    return ++skip_, true;
  }
  bool end_array() {
    --depth_;
    --skip_;   // we have no arrays of our own
    return true;
  }
  bool key(std::string_view name) {
    open_number_ = false;
    if (skip_ > 0) return true;
    switch (place_) {
      case Place::kTop: return TopKey(name);
      case Place::kMeasurement:
        in_unit_ = name == "unit";
        if (!in_unit_ && name != "value") {
          Fail(StrCat("values.", Quoted(name_), ": unknown member ", Quoted(name), "; value and unit are allowed"));
          ignore_ = true;
        }
        return true;
      default: name_ = name; return true;
    }
  }
  void syntax_error(size_t byte, std::string_view what) {
    if (open_number_) numbering_void_ = true;
    Stop(StrCat("body: not valid JSON at byte ", byte, ": ", what));
  }

  absl::StatusOr<DecodedEvent> Finish() {
    if (!error_.ok()) return error_;
    std::string_view device = address_.device;
    if (device.empty()) {
      if (!naming_seen_[0]) return absl::InvalidArgumentError("device: missing; the body must name it");
      device = device_;
    } else if (naming_seen_[0] && device_ != device) {
      return absl::InvalidArgumentError(StrCat("device: ", Quoted(device_), " is not the device of this line, ", Quoted(device)));
    }
    std::string_view kind_name = address_.kind;
    if (kind_name.empty()) {
      if (!naming_seen_[1]) return absl::InvalidArgumentError(StrCat("kind: missing; must be one of ", EventKindNames()));
      kind_name = kind_;
    }
    const std::optional<EventKind> kind = EventKindOf(kind_name);
    if (!kind) {
      return absl::InvalidArgumentError(StrCat("kind: ", Quoted(kind_name), " is unknown; must be one of ", EventKindNames()));
    }
    return std::move(fields_).Build(device, *kind);
  }
  void Describe(JsonEventFacts& facts) const {
    facts.device = address_.device.empty() ? device_ : std::string(address_.device);
    if (!IsDeviceName(facts.device)) facts.device.clear();
    facts.kind = address_.kind.empty() ? kind_twice_ ? std::nullopt : EventKindOf(kind_) : EventKindOf(address_.kind);
    facts.numbering = numbering_void_ ? Numbering() : fields_.numbering();
    facts.well_formed = well_formed_;
  }

 private:
  enum class Place { kOutside, kTop, kAttributes, kValues, kMeasurement };

  bool TopKey(std::string_view name) {
    member_ = MemberOf(name);
    naming_ = nullptr;
    if (member_) return true;
    ignore_ = true;
    if (name.starts_with("x_")) return true;
    if ((address_.device.empty() || address_.may_repeat_device) && name == "device") naming_ = &device_;
    if (address_.kind.empty() && name == "kind") naming_ = &kind_;
    if (naming_ != nullptr) return ignore_ = false, true;
    const std::optional<EventKind> kind = EventKindOf(address_.kind);
    return Fail(StrCat(Quoted(name), ": unknown member; allowed are boot, seq, id, time, correlation, gateway, shop, x_… and ",
                       kind ? MembersOf(*kind) : std::string("those of the kind")));
  }

  std::string_view NamingMember() const { return naming_ == &kind_ ? "kind" : "device"; }
  // Whether the value that begins here belongs to something ignored.
  bool Ignored() { return std::exchange(ignore_, false) || skip_ > 0; }

  bool NoteInteger(int64_t value) {
    open_number_ = *member_ == Member::kBoot || *member_ == Member::kSeq;
    return Note(fields_.SetInteger(*member_, value));
  }
  bool Number(double value) {
    switch (place_) {
      case Place::kValues: return Note(fields_.AddNumber(name_, value, {}));
      case Place::kMeasurement: return SetValue(value);
      default: return Wrong();
    }
  }
  template <typename T>
  bool SetValue(T value) {
    if (in_unit_) return Wrong();
    if (!std::holds_alternative<std::monostate>(value_)) return Fail(StrCat("values.", name_, ".value: must be given only once"));
    value_ = std::move(value);
    return true;
  }
  bool AddMeasurement() {
    if (const auto* number = std::get_if<double>(&value_)) return Note(fields_.AddNumber(name_, *number, unit_));
    if (const auto* word = std::get_if<std::string>(&value_)) return Note(fields_.AddWord(name_, *word, unit_));
    if (const auto* flag = std::get_if<bool>(&value_)) return Note(fields_.AddFlag(name_, *flag, unit_));
    return Fail(StrCat("values.", Quoted(name_), ": value is missing; must be a number, text or a boolean"));
  }

  // A value of a type that this place does not take.
  bool Wrong() {
    switch (place_) {
      case Place::kOutside: return Fail("body: must be a JSON object");
      case Place::kTop:
        if (naming_ != nullptr) return Fail(StrCat(NamingMember(), ": must be text"));
        return Fail(StrCat(MemberName(*member_), ": must be ", AllowedIn(*member_)));
      case Place::kAttributes: return Fail(StrCat("attributes.", Quoted(name_), ": must be text"));
      case Place::kValues:
        return Fail(StrCat("values.", Quoted(name_), ": must be a number, text, a boolean or {\"value\":…,\"unit\":…}"));
      case Place::kMeasurement:
        return Fail(in_unit_ ? StrCat("values.", Quoted(name_), ".unit: must be text")
                             : StrCat("values.", Quoted(name_), ".value: must be a number, text or a boolean"));
    }
    return true;
  }
  bool Note(const absl::Status& status) {
    if (status.ok()) return true;
    // Given twice: which one is meant is anyone's guess.
    if (place_ == Place::kTop && member_ && fields_.Has(*member_) &&
        (*member_ == Member::kBoot || *member_ == Member::kSeq || *member_ == Member::kId)) {
      numbering_void_ = true;
    }
    if (error_.ok()) error_ = status;
    return true;
  }
  bool Fail(const std::string& reason) {
    if (error_.ok()) error_ = absl::InvalidArgumentError(reason);
    return true;
  }
  // Ends the reading. What was wrong before stays the reason, unless the text is no JSON at all.
  bool Stop(const std::string& reason) {
    Fail(reason);
    well_formed_ = false;
    return false;
  }

  const JsonEventAddress& address_;
  EventFields fields_;
  absl::Status error_;
  Place place_ = Place::kOutside;
  int depth_ = 0;
  bool ignore_ = false;       // the next value belongs to an ignored member
  int skip_ = 0;              // open objects and arrays of a value that is ignored
  std::optional<Member> member_;
  std::string* naming_ = nullptr;   // device_ or kind_, when its value comes next
  bool naming_seen_[2] = {};
  std::string device_;
  std::string kind_;
  bool kind_twice_ = false;
  std::string name_;          // of the attribute or measurement
  std::string unit_;
  std::variant<std::monostate, double, bool, std::string> value_;
  bool in_unit_ = false;
  bool has_unit_ = false;
  bool open_number_ = false;  // boot or seq was the last token: the text may have been cut within its digits
  bool numbering_void_ = false;
  bool well_formed_ = true;
};

}  // namespace

absl::StatusOr<DecodedEvent> DecodeJsonEvent(std::string_view body, const JsonEventAddress& address,
                                             JsonEventFacts* facts) {
  if (facts != nullptr) {
    *facts = JsonEventFacts();
    if (IsDeviceName(address.device)) facts->device = address.device;
    facts->kind = EventKindOf(address.kind);
  }
  if (body.empty()) return absl::InvalidArgumentError("body: empty; must be a JSON object");
  EventReader reader(address);
  if (body.size() > kMaxJsonEventBytes) {
    // The number often stands in front; without it the device would send the monster again for ever.
    if (facts != nullptr) {
      ReadJson(body.substr(0, kMaxJsonEventBytes), reader);
      reader.Describe(*facts);
    }
    return absl::InvalidArgumentError(StrCat("body: ", body.size(), " bytes; at most ", kMaxJsonEventBytes, " are allowed"));
  }
  ReadJson(body, reader);
  if (facts != nullptr) reader.Describe(*facts);
  return reader.Finish();
}

}  // namespace sluice::devices
