// The commands of sluice-tcp-proxy: a line in, a line out (README.md).
#pragma once

#include <string>
#include <string_view>

#include "tests/faults/tcp_proxy.h"

namespace sluice::faults {

// Carries out one JSON object and returns the answer, one JSON object without '\n'.
std::string RunProxyCommand(TcpProxy& proxy, std::string_view line);

}  // namespace sluice::faults
