#include "devices/transport/mqtt_topic.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sluice::transport {
namespace {

constexpr std::string_view kShare = "$share/";

// Length of the character at `at`, 0 if there is none that is well-formed (Unicode 15, table 3-7).
size_t CharacterLength(const unsigned char* at, size_t left) {
  const unsigned char first = at[0];
  if (first < 0x80) return 1;
  if (first < 0xC2) return 0;
  const auto tail = [](unsigned char byte) { return (byte & 0xC0) == 0x80; };
  if (first < 0xE0) return left >= 2 && tail(at[1]) ? 2 : 0;
  if (first < 0xF0) {
    if (left < 3 || !tail(at[1]) || !tail(at[2])) return 0;
    if (first == 0xE0 && at[1] < 0xA0) return 0;   // overlong
    if (first == 0xED && at[1] > 0x9F) return 0;   // surrogates
    return 3;
  }
  if (first > 0xF4 || left < 4 || !tail(at[1]) || !tail(at[2]) || !tail(at[3])) return 0;
  if (first == 0xF0 && at[1] < 0x90) return 0;     // overlong
  if (first == 0xF4 && at[1] > 0x8F) return 0;     // beyond U+10FFFF
  return 4;
}

// Takes the next level off *rest; false when there is none left. *rest is null-data after the last one.
bool NextLevel(std::string_view* rest, std::string_view* level) {
  if (rest->data() == nullptr) return false;
  const size_t slash = rest->find('/');
  *level = rest->substr(0, slash);
  *rest = slash == std::string_view::npos ? std::string_view() : std::string_view(rest->data() + slash + 1,
                                                                                  rest->size() - slash - 1);
  return true;
}

}  // namespace

MqttText CheckMqttText(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  bool nul = false;
  while (at < end) {
    if (end - at >= 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      // No high bit, and no zero byte (the classic test is exact where no high bit is set).
      if ((word & 0x8080808080808080u) == 0 && ((word - 0x0101010101010101u) & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    const size_t length = CharacterLength(at, static_cast<size_t>(end - at));
    if (length == 0) return MqttText::kNotUtf8;
    if (*at == 0) nul = true;
    at += length;
  }
  return nul ? MqttText::kNul : MqttText::kGood;
}

bool IsUtf8(std::string_view text) { return CheckMqttText(text) != MqttText::kNotUtf8; }

bool HasMqttWildcard(std::string_view topic) {
  return std::any_of(topic.begin(), topic.end(), [](char c) { return c == '+' || c == '#'; });
}

size_t CountMqttLevels(std::string_view topic) { return 1 + std::count(topic.begin(), topic.end(), '/'); }

bool IsMqttShared(std::string_view filter) { return filter.substr(0, kShare.size()) == kShare; }

MqttFilterFault CheckMqttFilter(std::string_view filter, bool shared) {
  if (filter.empty()) return MqttFilterFault::kEmpty;
  if (shared && IsMqttShared(filter)) {
    const std::string_view rest = filter.substr(kShare.size());
    const std::string_view name = rest.substr(0, rest.find('/'));
    if (name.empty()) return MqttFilterFault::kShareName;
    if (HasMqttWildcard(name) || rest.size() <= name.size() + 1) return MqttFilterFault::kShareFilter;
    return CheckMqttFilter(rest.substr(name.size() + 1), false);
  }
  for (size_t i = 0; i < filter.size(); ++i) {
    const bool begins = i == 0 || filter[i - 1] == '/';
    if (filter[i] == '#' && !(begins && i + 1 == filter.size())) return MqttFilterFault::kHash;
    if (filter[i] == '+' && !(begins && (i + 1 == filter.size() || filter[i + 1] == '/'))) return MqttFilterFault::kPlus;
  }
  return MqttFilterFault::kNone;
}

bool MqttMatches(std::string_view filter, std::string_view topic) {
  if (filter.empty() || topic.empty()) return false;
  if (topic[0] == '$' && (filter[0] == '+' || filter[0] == '#')) return false;
  size_t f = 0, t = 0;
  while (f < filter.size()) {
    if (filter[f] == '#') return true;
    if (filter[f] == '+') {
      while (t < topic.size() && topic[t] != '/') ++t;
      ++f;
    } else {
      // One level, byte for byte.
      while (f < filter.size() && t < topic.size() && filter[f] == topic[t] && filter[f] != '/') ++f, ++t;
      if (f < filter.size() && filter[f] != '/') return false;
    }
    // At the end of a level of the filter: the topic has to be so too.
    if (t < topic.size() && topic[t] != '/') return false;
    if (f == filter.size()) return t == topic.size();
    if (t == topic.size()) return filter.substr(f) == "/#";   // "a/#" matches "a" (4.7.1.2)
    ++f, ++t;
  }
  // The filter ended with a separator: its last level is empty.
  return t == topic.size();
}

bool MqttCovers(std::string_view outer, std::string_view inner) {
  if (outer.empty() || inner.empty()) return false;
  if (inner[0] == '$' && (outer[0] == '+' || outer[0] == '#')) return false;
  std::string_view wide, narrow;
  while (NextLevel(&outer, &wide)) {
    if (wide == "#") return true;
    if (!NextLevel(&inner, &narrow)) return false;
    if (narrow == "#") return false;
    if (wide != "+" && wide != narrow) return false;
  }
  return inner.data() == nullptr;
}

}  // namespace sluice::transport
