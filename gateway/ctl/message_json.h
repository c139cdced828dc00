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

// One line without '\n'. What is not UTF-8 is replaced.
std::string Dump(const nlohmann::ordered_json& json);

}  // namespace sluice::ctl
