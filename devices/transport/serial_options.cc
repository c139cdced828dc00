// The part of serial_port.h that needs no loop: settings, identity, opening.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/status.h"
#include "base/strings.h"
#include "base/unique_fd.h"
#include "devices/transport/serial_port.h"
#include "devices/transport/serial_rs485.h"

namespace sluice::transport {
namespace {

struct Rate {
  int baud;
  speed_t speed;
};
constexpr Rate kRates[] = {{300, B300},       {600, B600},       {1200, B1200},     {2400, B2400},     {4800, B4800},
                           {9600, B9600},     {19200, B19200},   {38400, B38400},   {57600, B57600},   {115200, B115200},
                           {230400, B230400}, {460800, B460800}, {500000, B500000}, {576000, B576000}, {921600, B921600}};

std::string ErrorText() { return std::strerror(errno); }

termios TermiosOf(const SerialOptions& options, termios now) {
  cfmakeraw(&now);
  now.c_cflag &= ~static_cast<tcflag_t>(CSIZE | PARENB | PARODD | CSTOPB | CRTSCTS);
  constexpr tcflag_t kSizes[] = {CS5, CS6, CS7, CS8};
  now.c_cflag |= kSizes[options.data_bits - 5] | CLOCAL | CREAD;
  if (options.parity != Parity::kNone) now.c_cflag |= PARENB;
  if (options.parity == Parity::kOdd) now.c_cflag |= PARODD;
  if (options.stop_bits == 2) now.c_cflag |= CSTOPB;
  if (options.flow == FlowControl::kRtsCts) now.c_cflag |= CRTSCTS;
  now.c_iflag &= ~static_cast<tcflag_t>(IXON | IXOFF | IXANY);
  if (options.flow == FlowControl::kXonXoff) now.c_iflag |= IXON | IXOFF;
  now.c_cc[VMIN] = 1;
  now.c_cc[VTIME] = 0;
  for (const Rate& rate : kRates) {
    if (rate.baud != options.baud) continue;
    cfsetispeed(&now, rate.speed);
    cfsetospeed(&now, rate.speed);
  }
  return now;
}

}  // namespace

std::string BaudRateNames() {
  std::string all;
  for (const Rate& rate : kRates) all += StrCat(all.empty() ? "" : ", ", rate.baud);
  return all;
}

absl::Status CheckSerialOptions(const SerialOptions& options) {
  if (options.path.empty() || options.path.front() != '/') {
    return absl::InvalidArgumentError("port: must be an absolute path, best one below /dev/serial/by-id");
  }
  bool known = false;
  for (const Rate& rate : kRates) known = known || rate.baud == options.baud;
  if (!known) return absl::InvalidArgumentError(StrCat("baud: must be one of ", BaudRateNames()));
  if (options.data_bits < 5 || options.data_bits > 8) return absl::InvalidArgumentError("data_bits: must be 5 to 8");
  if (options.stop_bits < 1 || options.stop_bits > 2) return absl::InvalidArgumentError("stop_bits: must be 1 or 2");
  for (int delay : {options.rs485_delay_before_ms, options.rs485_delay_after_ms}) {
    if (delay < 0 || delay > 100) return absl::InvalidArgumentError("rs485 delays: must be 0 to 100 ms");
  }
  return absl::OkStatus();
}

std::string StablePathOf(const std::string& tty, const std::vector<std::string>& folders) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::is_symlink(tty, error)) return tty;   // a link is what was meant
  const fs::path device = fs::canonical(tty, error);
  if (error) return tty;
  for (const std::string& folder : folders) {
    std::error_code none;
    for (fs::directory_iterator at(folder, none), end; !none && at != end; at.increment(none)) {
      std::error_code dangling;
      if (fs::canonical(at->path(), dangling) == device) return at->path().string();
    }
  }
  return tty;
}

absl::StatusOr<int> OpenSerial(const SerialOptions& options, const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return absl::UnavailableError(StrCat("open ", path, ": ", ErrorText()));
  if (isatty(fd.get()) == 0) return absl::FailedPreconditionError(StrCat(path, " is no serial port"));
  // Two readers would each get half of every line.
  if (ioctl(fd.get(), TIOCEXCL) != 0) return absl::UnavailableError(StrCat("TIOCEXCL on ", path, ": ", ErrorText()));
  termios now{};
  if (tcgetattr(fd.get(), &now) != 0) return absl::UnavailableError(StrCat("tcgetattr of ", path, ": ", ErrorText()));
  const termios wanted = TermiosOf(options, now);
  if (tcsetattr(fd.get(), TCSANOW, &wanted) != 0) {
    return absl::FailedPreconditionError(StrCat("the driver of ", path, " refuses the settings: ", ErrorText()));
  }
  if (options.rs485) RETURN_IF_ERROR(SetRs485(fd.get(), options, path, ioctl));
  return fd.Release();
}

}  // namespace sluice::transport
