#include "gateway/config/rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>

#include "base/strings.h"

namespace sluice::config {
namespace {

constexpr std::array<std::pair<std::string_view, uint64_t>, 4> kUnits = {
    {{"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}}};

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsPort(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

bool IsHost(std::string_view host) {
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
      return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
    });
  }
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
    return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '.' || c == '-' || c == '_';
  });
}

struct Listen {
  bool loopback = false;
};
std::optional<Listen> ParseListen(std::string_view value) {
  const size_t colon = value.rfind(':');
  if (colon == std::string_view::npos || !IsPort(value.substr(colon + 1))) return std::nullopt;
  std::string host(value.substr(0, colon));
  in_addr v4{};
  in6_addr v6{};
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return std::nullopt;
    return Listen{.loopback = IN6_IS_ADDR_LOOPBACK(&v6) != 0};
  }
  if (inet_pton(AF_INET, host.c_str(), &v4) != 1) return std::nullopt;
  return Listen{.loopback = ntohl(v4.s_addr) >> 24 == 127};
}

bool IsHostPort(std::string_view value) {
  const size_t colon = value.rfind(':');
  return colon != std::string_view::npos && IsHost(value.substr(0, colon)) && IsPort(value.substr(colon + 1));
}

std::string_view WithoutScheme(std::string_view url) {
  const size_t scheme = url.find("://");
  return scheme == std::string_view::npos ? url : url.substr(scheme + 3);
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row.back();
}

}  // namespace

Rule OneOf(std::vector<std::string_view> allowed) {
  return [allowed = std::move(allowed)](std::string_view value) -> std::string {
    if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return "";
    std::string words = "must be one of";
    for (size_t i = 0; i < allowed.size(); ++i) words += StrCat(i == 0 ? " \"" : ", \"", allowed[i], "\"");
    return words;
  };
}

Rule AtMost(size_t bytes) {
  return [bytes](std::string_view value) -> std::string {
    const bool control = std::any_of(value.begin(), value.end(),
                                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    return value.size() <= bytes && !control ? "" : StrCat("must be at most ", bytes, " bytes without control characters");
  };
}

std::string CheckName(std::string_view value) {
  const bool good = !value.empty() && value.size() <= 32 && value.front() != '-' &&
                    std::all_of(value.begin(), value.end(), [](char c) { return IsLower(c) || IsDigit(c) || c == '-'; });
  return good ? "" : "must be 1 to 32 of a-z 0-9 -, not beginning with -";
}

std::string CheckDeviceId(std::string_view value) {
  const bool good = !value.empty() && value.size() <= 64 && value.front() != '.' &&
                    std::all_of(value.begin(), value.end(), [](char c) {
                      return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '.' || c == '_' || c == '-';
                    });
  return good ? "" : "must be 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot";
}

std::string CheckHostPort(std::string_view value) {
  return IsHostPort(value) ? "" : "must be host:port, as in \"inventory.example.com:50051\" or \"[::1]:50051\"";
}

std::string CheckBrokerUrl(std::string_view value) {
  constexpr std::string_view kAllowed = "must be mqtt://host:port or mqtts://host:port";
  if (value.find('@') != std::string_view::npos) {
    return StrCat(kAllowed, "; user and password belong in username and password_file");
  }
  const bool scheme = value.starts_with("mqtt://") || value.starts_with("mqtts://");
  return scheme && IsHostPort(WithoutScheme(value)) ? "" : std::string(kAllowed);
}

std::string CheckListenAddress(std::string_view value) {
  return ParseListen(value) ? "" : "must be <address>:<port>, as in \"192.168.1.2:8883\", \"0.0.0.0:8883\" or \"[::]:8883\"";
}

std::string CheckDeviceTopics(std::string_view value) {
  constexpr std::string_view kDevice = "{device}";
  constexpr std::string_view kAllowed =
      "must be a topic filter of at most 256 bytes with {device} as one of its levels, once, and not below sluice/ or $";
  if (value.size() > 256 || value.starts_with("sluice/") || value.starts_with('$')) return std::string(kAllowed);
  size_t named = 0;
  for (std::string_view rest = value;;) {
    const size_t slash = rest.find('/');
    const std::string_view level = rest.substr(0, slash);
    const bool last = slash == std::string_view::npos;
    if (level == kDevice) ++named;
    const bool plain = level.find_first_of("{}+#") == std::string_view::npos && level.find('\0') == std::string_view::npos;
    if (level != kDevice && !plain && level != "+" && !(level == "#" && last)) return std::string(kAllowed);
    if (last) break;
    rest.remove_prefix(slash + 1);
  }
  return named == 1 ? "" : std::string(kAllowed);
}

std::string CheckFraming(std::string_view value) {
  const bool good = value.size() == 3 && value[0] >= '5' && value[0] <= '8' &&
                    (value[1] == 'N' || value[1] == 'E' || value[1] == 'O') && (value[2] == '1' || value[2] == '2');
  return good ? "" : "must be data bits 5 to 8, parity N, E or O and stop bits 1 or 2, as in \"8N1\"";
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (text.empty()) return count;
  if (text.front() == ' ') text.remove_prefix(1);
  for (const auto& [unit, factor] : kUnits) {
    if (text != unit) continue;
    if (count > UINT64_MAX / factor) return std::nullopt;
    return count * factor;
  }
  return std::nullopt;
}

std::string FormatSize(uint64_t bytes) {
  for (const auto& [unit, factor] : kUnits) {
    if (bytes >= factor && bytes % factor == 0) return StrCat(bytes / factor, " ", unit);
  }
  return "0 B";
}

std::string_view Nearest(std::string_view key, const std::vector<std::string>& known) {
  std::string_view best;
  size_t best_distance = std::min<size_t>(2, key.size() / 2) + 1;
  if (key.size() > 64) return best;
  for (const std::string& candidate : known) {
    const size_t distance = EditDistance(key, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string_view HostOf(std::string_view address) {
  address = WithoutScheme(address);
  return address.substr(0, address.rfind(':'));
}

bool IsLoopback(std::string_view listen_address) {
  const auto parsed = ParseListen(listen_address);
  return parsed && parsed->loopback;
}

bool IsThisHost(std::string_view host) {
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

}  // namespace sluice::config
