// What single values may be. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/visitor.h"

namespace sluice::config {

Rule OneOf(std::vector<std::string_view> allowed);
Rule AtMost(size_t bytes);          // printable, no control characters
std::string CheckName(std::string_view value);        // a–z 0–9 -, 1 to 32: becomes part of source and file names
std::string CheckDeviceId(std::string_view value);    // as on the native topics
std::string CheckHostPort(std::string_view value);    // name:port, 1.2.3.4:port, [::1]:port
std::string CheckBrokerUrl(std::string_view value);   // mqtt:// or mqtts://, no user or password in it
std::string CheckListenAddress(std::string_view value);   // 1.2.3.4:port, [::1]:port; no names
std::string CheckDeviceTopics(std::string_view value);    // a topic filter with {device} as one of its levels
std::string CheckFraming(std::string_view value);     // 5–8, N E O, 1 2

// "8 MiB" → bytes; B, KiB, MiB, GiB, or none for bytes.
std::optional<uint64_t> ParseSize(std::string_view text);
// With the largest unit that leaves no fraction.
std::string FormatSize(uint64_t bytes);

// The known key that was probably meant: at most two edits away; empty: none.
std::string_view Nearest(std::string_view key, const std::vector<std::string>& known);

// The host of host:port or of a broker's URL.
std::string_view HostOf(std::string_view address);
bool IsThisHost(std::string_view host);
// Whether only this machine can reach a listen address.
bool IsLoopback(std::string_view listen_address);

}  // namespace sluice::config
