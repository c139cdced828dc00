#include "devices/transport/serial_settings.h"

#include <linux/serial.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <utility>

#include "base/status.h"

namespace sluice::transport {
namespace {

constexpr std::array<std::pair<uint32_t, speed_t>, 18> kRates = {{
    {300, B300},       {600, B600},       {1200, B1200},     {1800, B1800},     {2400, B2400},     {4800, B4800},
    {9600, B9600},     {19200, B19200},   {38400, B38400},   {57600, B57600},   {115200, B115200}, {230400, B230400},
    {460800, B460800}, {500000, B500000}, {576000, B576000}, {921600, B921600}, {110, B110},       {150, B150},
}};

const speed_t* RateOf(uint32_t baud) {
  const auto it = std::find_if(kRates.begin(), kRates.end(), [&](const auto& rate) { return rate.first == baud; });
  return it == kRates.end() ? nullptr : &it->second;
}

tcflag_t SizeFlag(int bits) {
  switch (bits) {
    case 5: return CS5;
    case 6: return CS6;
    case 7: return CS7;
    default: return CS8;
  }
}

absl::Status ApplyRs485(int fd, const SerialRs485& options) {
  serial_rs485 settings{};
  settings.flags = SER_RS485_ENABLED | (options.rts_on_send ? SER_RS485_RTS_ON_SEND : SER_RS485_RTS_AFTER_SEND);
  settings.delay_rts_before_send = options.delay_before_ms;
  settings.delay_rts_after_send = options.delay_after_ms;
  if (ioctl(fd, TIOCSRS485, &settings) != 0) {
    return absl::FailedPreconditionError(
        StrCat("the port's driver has no RS-485 direction control (", absl::ErrnoToStatus(errno, "TIOCSRS485").ToString(),
               "): use an adapter that switches by itself and leave rs485 out, or a port whose driver supports it"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSerialOptions(const SerialOptions& options) {
  if (options.path.empty()) return absl::InvalidArgumentError("no port given");
  if (RateOf(options.baud) == nullptr) {
    return absl::InvalidArgumentError(StrCat("baud ", options.baud, ": allowed are the rates of termios from 110 to 921600, "
                                             "for example 2400, 9600, 19200, 57600, 115200"));
  }
  if (options.data_bits < 5 || options.data_bits > 8) {
    return absl::InvalidArgumentError(StrCat(options.data_bits, " data bits: allowed are 5 to 8"));
  }
  if (options.stop_bits < 1 || options.stop_bits > 2) {
    return absl::InvalidArgumentError(StrCat(options.stop_bits, " stop bits: allowed are 1 and 2"));
  }
  if (options.rs485.enabled && options.flow == SerialFlow::kRtsCts) {
    return absl::InvalidArgumentError("rs485 uses RTS for the direction: flow rts-cts cannot be had with it");
  }
  return absl::OkStatus();
}

absl::Status ParseSerialFraming(std::string_view framing, SerialOptions& options) {
  const auto bad = [&] {
    return absl::InvalidArgumentError(
        StrCat("framing \"", framing, "\": expected data bits 5-8, parity N, E or O, stop bits 1 or 2, for example 8N1"));
  };
  if (framing.size() != 3) return bad();
  const char data = framing[0], parity = static_cast<char>(std::toupper(static_cast<unsigned char>(framing[1]))),
             stop = framing[2];
  if (data < '5' || data > '8' || stop < '1' || stop > '2') return bad();
  switch (parity) {
    case 'N': options.parity = SerialParity::kNone; break;
    case 'E': options.parity = SerialParity::kEven; break;
    case 'O': options.parity = SerialParity::kOdd; break;
    default: return bad();
  }
  options.data_bits = data - '0';
  options.stop_bits = stop - '0';
  return absl::OkStatus();
}

absl::Status ApplySerialSettings(int fd, const SerialOptions& options) {
  if (ioctl(fd, TIOCEXCL) != 0) return absl::ErrnoToStatus(errno, "take the port for this process alone");
  termios settings{};
  if (tcgetattr(fd, &settings) != 0) return absl::ErrnoToStatus(errno, "not a serial port");
  cfmakeraw(&settings);
  settings.c_cflag &= ~static_cast<tcflag_t>(CSIZE | PARENB | PARODD | CSTOPB | CRTSCTS);
  settings.c_cflag |= SizeFlag(options.data_bits) | CLOCAL | CREAD;
  if (options.parity != SerialParity::kNone) settings.c_cflag |= PARENB;
  if (options.parity == SerialParity::kOdd) settings.c_cflag |= PARODD;
  if (options.stop_bits == 2) settings.c_cflag |= CSTOPB;
  if (options.flow == SerialFlow::kRtsCts) settings.c_cflag |= CRTSCTS;
  if (options.flow == SerialFlow::kXonXoff) settings.c_iflag |= IXON | IXOFF;
  if (options.strip_bit7) settings.c_iflag |= ISTRIP;
  // Read gives what there is, at least one byte; readiness comes from the loop.
  settings.c_cc[VMIN] = 1;
  settings.c_cc[VTIME] = 0;
  const speed_t* rate = RateOf(options.baud);
  if (rate == nullptr) return CheckSerialOptions(options);
  cfsetispeed(&settings, *rate);
  cfsetospeed(&settings, *rate);
  if (tcsetattr(fd, TCSANOW, &settings) != 0) return absl::ErrnoToStatus(errno, "set the line");
  termios got{};
  if (tcgetattr(fd, &got) != 0) return absl::ErrnoToStatus(errno, "read the line's settings back");
  constexpr tcflag_t kChecked = CSTOPB | PARODD | CRTSCTS;
  if (cfgetospeed(&got) != *rate || (got.c_cflag & kChecked) != (settings.c_cflag & kChecked)) {
    return absl::FailedPreconditionError(StrCat("the port's driver did not take ", options.baud, " baud, ", options.data_bits,
                                                " data bits, ", options.stop_bits, " stop bits"));
  }
  if (options.rs485.enabled) return ApplyRs485(fd, options.rs485);
  return absl::OkStatus();
}

}  // namespace sluice::transport
