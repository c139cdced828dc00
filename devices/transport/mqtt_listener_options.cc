#include <arpa/inet.h>

#include <charconv>

#include "base/status.h"
#include "devices/transport/mqtt_listener.h"
#include "devices/transport/mqtt_listener_address.h"
#include "devices/transport/mqtt_topic.h"

namespace sluice::transport {
namespace {

constexpr std::string_view kDevice = "{device}";
constexpr std::string_view kOwnTopics = "sluice/v1/{device}/#";
constexpr size_t kMaxPatternBytes = 256;

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text) {
  const absl::Status wrong =
      absl::InvalidArgumentError("must be <address>:<port>, as in \"192.168.1.2:8883\" or \"[::]:8883\"");
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong;
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const std::string_view digits = text.substr(colon + 1);
  ListenAddress address;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) return wrong;
  address.host = std::string(host);
  in_addr v4{};
  in6_addr v6{};
  if (brackets ? inet_pton(AF_INET6, address.host.c_str(), &v6) != 1 : inet_pton(AF_INET, address.host.c_str(), &v4) != 1) {
    return wrong;
  }
  address.loopback = brackets ? IN6_IS_ADDR_LOOPBACK(&v6) : (ntohl(v4.s_addr) >> 24) == 127;
  return address;
}

absl::Status CheckDeviceTopics(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes || CheckMqttFilter(pattern, true) != MqttFilterFault::kNone || IsMqttShared(pattern) ||
      pattern.starts_with('$')) {
    return absl::InvalidArgumentError("must be a topic filter of at most 256 bytes, not beginning with $");
  }
  if (pattern.starts_with("sluice/")) {
    return absl::InvalidArgumentError("must not be below sluice/: sluice/v1/{device}/# is allowed anyway");
  }
  size_t named = 0;
  for (std::string_view rest = pattern;;) {
    const size_t slash = rest.find('/');
    const std::string_view level = rest.substr(0, slash);
    if (level == kDevice) {
      ++named;
    } else if (level.find('{') != std::string_view::npos || level.find('}') != std::string_view::npos) {
      return absl::InvalidArgumentError("{device} has to be a whole level, and nothing else stands in braces");
    }
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (named != 1) return absl::InvalidArgumentError("must have {device} as one of its levels, once, as in \"tele/{device}/#\"");
  return absl::OkStatus();
}

std::shared_ptr<const MqttIdentity> IdentityOfDevice(const std::string& device, const std::vector<std::string>& topics,
                                                     uint64_t credential) {
  const auto identity = std::make_shared<MqttIdentity>();
  identity->device = device;
  identity->credential = credential;
  const auto allow = [&](std::string pattern) {
    pattern.replace(pattern.find(kDevice), kDevice.size(), device);
    identity->publish.push_back(std::move(pattern));
  };
  allow(std::string(kOwnTopics));
  for (const std::string& pattern : topics) allow(pattern);
  identity->subscribe = identity->publish;
  return identity;
}

absl::Status CheckMqttListenerOptions(const MqttListenerOptions& options) {
  const absl::StatusOr<ListenAddress> address = ParseListenAddress(options.bind);
  if (!address.ok()) return WithContext(address.status(), "bind");
  const bool tls = !options.tls.certificate_file.empty();
  if (tls != !options.tls.key_file.empty()) return absl::InvalidArgumentError("certificate and key go together");
  if (!tls && !address->loopback) {
    return absl::InvalidArgumentError(StrCat(options.bind, ": without a certificate only loopback addresses may be listened on"));
  }
  if (!tls && !options.tls.client_ca_file.empty()) {
    return absl::InvalidArgumentError("client certificates need TLS: certificate and key");
  }
  if (options.tls.client_ca_file.empty() && options.password_file.empty()) {
    return absl::InvalidArgumentError("client authorities or a password file is needed: nobody comes in without either");
  }
  for (const std::string& pattern : options.topics) {
    if (absl::Status status = CheckDeviceTopics(pattern); !status.ok()) return WithContext(status, pattern);
  }
  return absl::OkStatus();
}

}  // namespace sluice::transport
