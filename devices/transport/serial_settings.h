// termios and RS-485 for one open port.
#pragma once

#include "absl/status/status.h"
#include "devices/transport/serial_port.h"

namespace sluice::transport {

// What no port can have: InvalidArgument. Pure.
absl::Status CheckSerialOptions(const SerialOptions& options);

// Raw mode, rate, bits, parity, stop bits, flow control, exclusive use; then RS-485 if it is enabled. The settings are read
// back: a driver may accept a call and keep only a part of it (termios(3), "tcsetattr"). FailedPrecondition names what the
// driver does not do.
absl::Status ApplySerialSettings(int fd, const SerialOptions& options);

}  // namespace sluice::transport
