// How a device's lines are to be read, as data: one TOML file for each kind of device. Described in README.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "devices/event_fields.h"
#include "devices/transport/framing.h"
#include "devices/transport/serial_port.h"

namespace re2 {
class RE2;
}

namespace sluice::lines {

enum class LineFormat {
  kRegex,    // a pattern with named groups
  kJson,     // a foreign JSON object; its members stand for groups
  kEvents,   // our own JSON event with `kind` and, unless the port's configuration names it, `device`
};
enum class ValueType { kNumber, kText, kFlag };

// Where one field of the event comes from: a group (or JSON member), or a constant.
struct FieldRule {
  // Either a member of the event, or the name of a measurement.
  std::optional<devices::Member> member;
  std::string value_name;
  std::string from;                       // group; empty: constant
  std::string constant;
  ValueType type = ValueType::kNumber;    // of a measurement
  std::string unit;                       // of a measurement
  std::string unit_from;                  // group with the unit as the device writes it; mapped by Profile::units
  double factor = 1;                      // a number is multiplied by it
  std::vector<std::string> factor_from;   // and by what Profile::factors says to these groups
  bool optional = false;                  // the group may be empty: then no field
};

struct UnitRule {
  std::string unit;   // UCUM
  double factor = 1;
};

// A group made of bits: of each part's group, which is one byte, those of the mask as a decimal number; joined by '-'.
struct BitsRule {
  struct Part {
    std::string from;
    int mask = 0;
  };
  std::string name;
  std::vector<Part> parts;
};

enum class ChecksumType {
  kXorHex,   // XOR of the bytes that the hexadecimal group `over` spells equals the byte that `value` spells
  kSum7,     // `plus`, the bytes of `over` and the byte `value` add up to 0 modulo 128
};
struct ChecksumRule {
  ChecksumType type = ChecksumType::kXorHex;
  std::string over;
  std::string value;
  int plus = 0;   // what is not in the line: the start byte
};

struct Profile {
  std::string name;
  transport::SerialOptions serial;        // without the path
  transport::FramingOptions framing;
  LineFormat format = LineFormat::kRegex;
  std::shared_ptr<const re2::RE2> pattern;   // anchored at both ends
  std::shared_ptr<const re2::RE2> ignore;    // lines that say nothing; may be null
  devices::EventKind kind = devices::EventKind::kTelemetry;
  std::vector<FieldRule> fields;
  std::map<std::string, UnitRule> units;
  std::vector<BitsRule> bits;
  std::map<std::string, std::map<std::string, double>> factors;   // group → what it says → factor
  std::optional<ChecksumRule> checksum;
  std::string stable_from;                // group; empty: every line is stable
  std::string stable_is;
  bool only_on_change = false;
  double min_change = 0;                  // numbers that differ by less are the same
  int64_t debounce_ms = 0;                // the same again within it, or within it of its last repetition, is no event
  int64_t offline_after_ms = 0;           // silence that means offline; 0: silence means nothing
  std::string poll;                       // sent every poll_ms; empty: the device talks by itself
  int64_t poll_ms = 0;
  bool receipts = false;                  // receipts go back as lines
};

// InvalidArgument "<file>:<line>: <key>: <what is wrong, what is allowed>". `file` is for messages. Pure.
absl::StatusOr<Profile> ParseProfile(std::string_view toml, const std::string& file);
absl::StatusOr<Profile> LoadProfile(const std::string& path);

}  // namespace sluice::lines
