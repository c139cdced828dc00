// Topic names and filters (section 4.7 of both standards) and the UTF-8 they are written in (1.5.3; 1.5.4 in 5.0). Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace sluice::transport {

enum class MqttText { kGood, kNotUtf8, kNul };
// Well-formed UTF-8 without surrogates and U+0000. Control and other discouraged characters are let through (1.5.4).
MqttText CheckMqttText(std::string_view text);
// Of a payload that claims to be UTF-8 (5.0, 3.3.2.3.2): U+0000 is allowed there.
bool IsUtf8(std::string_view text);

bool HasMqttWildcard(std::string_view topic);
// 1 + the number of separators.
size_t CountMqttLevels(std::string_view topic);

enum class MqttFilterFault { kNone, kEmpty, kHash, kPlus, kShareName, kShareFilter };
// `shared`: $share/… is looked at as 5.0 defines it.
MqttFilterFault CheckMqttFilter(std::string_view filter, bool shared);
bool IsMqttShared(std::string_view filter);

// Does the topic match? Both well-formed. A wildcard at the beginning does not match a topic that begins with $ (4.7.2).
bool MqttMatches(std::string_view filter, std::string_view topic);
// Does every topic that `inner` matches match `outer` too?
bool MqttCovers(std::string_view outer, std::string_view inner);

}  // namespace sluice::transport
