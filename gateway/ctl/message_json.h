// Messages as JSON for programs: names as in the .proto, integers as numbers, every field present.
#pragma once

#include <google/protobuf/message.h>

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace sluice::ctl {

// bytes become "<name>_base64". (protobuf's own JSON writes 64-bit integers as text, which jq cannot count with.)
nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

// The text as JSON, or as a JSON string where it is none.
nlohmann::ordered_json Embedded(std::string_view text);

// For programs: one line of ASCII without '\n'. Everything else is escaped, for a terminal may be reading, and some readers
// end a line at U+2028. What is not UTF-8 is replaced.
std::string Dump(const nlohmann::ordered_json& json);
// For people: other scripts stay readable. To be escaped for the terminal (escape.h).
std::string DumpReadable(const nlohmann::ordered_json& json);

}  // namespace sluice::ctl
