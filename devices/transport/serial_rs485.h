// RS-485: the kernel's driver switches the direction of the line around what is sent (linux/serial.h, TIOCSRS485).
#pragma once

#include <linux/serial.h>

#include <string>

#include "absl/status/status.h"
#include "devices/transport/serial_port.h"

namespace sluice::transport {

// What the driver is asked for: RTS at the level for sending while sending and at the other one otherwise. Pure.
serial_rs485 Rs485Of(const SerialOptions& options);

// The system's ioctl; handed in because no pseudo terminal has RS-485.
using Ioctl = int (*)(int fd, unsigned long request, ...);
// FailedPrecondition if the driver of `path`, open as `fd`, has none of it.
absl::Status SetRs485(int fd, const SerialOptions& options, const std::string& path, Ioctl call);

}  // namespace sluice::transport
