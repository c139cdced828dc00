// The part of mqtt.h that needs no MQTT.
#include <arpa/inet.h>

#include <charconv>

#include "base/status.h"
#include "base/strings.h"
#include "devices/transport/mqtt.h"

namespace sluice::transport {

absl::StatusOr<MqttAddress> ParseMqttUrl(std::string_view url) {
  const auto wrong = [url] {
    return absl::InvalidArgumentError(
        StrCat("url: '", url, "' is not allowed; must be mqtt://host[:port] or mqtts://host[:port]"));
  };
  MqttAddress address;
  const size_t colon = url.find("://");
  if (colon == std::string_view::npos) return wrong();
  const std::string_view scheme = url.substr(0, colon);
  if (scheme == "mqtts" || scheme == "ssl" || scheme == "tls") {
    address.tls = true;
  } else if (scheme != "mqtt" && scheme != "tcp") {
    return wrong();
  }
  address.port = address.tls ? 8883 : 1883;
  std::string_view rest = url.substr(colon + 3);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  std::string_view port;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong();
    address.host = rest.substr(1, end - 1);
    in6_addr ignored;
    if (inet_pton(AF_INET6, address.host.c_str(), &ignored) != 1) return wrong();
    rest.remove_prefix(end + 1);
    if (!rest.empty() && rest.front() != ':') return wrong();
    if (!rest.empty()) port = rest.substr(1);
    if (!rest.empty() && port.empty()) return wrong();
  } else {
    const size_t at = rest.find(':');
    address.host = rest.substr(0, at);
    if (at != std::string_view::npos) {
      port = rest.substr(at + 1);
      if (port.empty()) return wrong();
    }
    for (char c : address.host) {
      const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                        c == '-' || c == '_';
      if (!fine) return wrong();
    }
  }
  if (address.host.empty()) return wrong();
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc() || end != port.data() + port.size() || address.port == 0) return wrong();
  }
  return address;
}

bool IsLoopbackHost(std::string_view host) {
  const std::string text(host);
  if (text == "localhost") return true;
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

absl::Status CheckMqttOptions(const MqttOptions& options) {
  ASSIGN_OR_RETURN(const MqttAddress address, ParseMqttUrl(options.url));
  if (!address.tls && !options.allow_plaintext && !IsLoopbackHost(address.host)) {
    return absl::InvalidArgumentError(
        StrCat("url: plain MQTT to ", address.host, " would show everything to the network; use mqtts:// or set allow_plaintext"));
  }
  if (options.client_id.empty() || options.client_id.size() > 128) {
    return absl::InvalidArgumentError("client_id: must be text of 1 to 128 bytes; it names the session at the broker");
  }
  if (!options.password_file.empty() && options.username.empty()) {
    return absl::InvalidArgumentError("username: missing; password_file needs it");
  }
  if (options.certificate_file.empty() != options.key_file.empty()) {
    return absl::InvalidArgumentError("certificate_file and key_file: must be given both or not at all");
  }
  if (!address.tls && !(options.certificate_file.empty() && options.ca_file.empty())) {
    return absl::InvalidArgumentError("ca_file and certificate_file: only allowed with mqtts://");
  }
  if (options.receive_maximum == 0) return absl::InvalidArgumentError("receive_maximum: must be 1 to 65535");
  if (options.keep_alive_s < 1 || options.keep_alive_s > 65535) {
    return absl::InvalidArgumentError("keep_alive_s: must be 1 to 65535");
  }
  if (options.connect_timeout_s < 1 || options.connect_timeout_s > 300) {
    return absl::InvalidArgumentError("connect_timeout_s: must be 1 to 300");
  }
  if (options.filters.empty()) return absl::InvalidArgumentError("filters: must name at least one topic filter");
  return absl::OkStatus();
}

std::string_view MqttStateName(MqttStatus::State state) {
  switch (state) {
    case MqttStatus::State::kConnecting: return "connecting";
    case MqttStatus::State::kConnected: return "connected";
    case MqttStatus::State::kWaiting: return "waiting";
    case MqttStatus::State::kClosed: return "closed";
  }
  return "closed";
}

}  // namespace sluice::transport
