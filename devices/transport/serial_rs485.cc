#include "devices/transport/serial_rs485.h"

#include <sys/ioctl.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/strings.h"

namespace sluice::transport {

serial_rs485 Rs485Of(const SerialOptions& options) {
  serial_rs485 settings{};
  settings.flags = SER_RS485_ENABLED | (options.rs485_rts_on_send ? SER_RS485_RTS_ON_SEND : SER_RS485_RTS_AFTER_SEND);
  settings.delay_rts_before_send = static_cast<uint32_t>(options.rs485_delay_before_ms);
  settings.delay_rts_after_send = static_cast<uint32_t>(options.rs485_delay_after_ms);
  return settings;
}

absl::Status SetRs485(int fd, const SerialOptions& options, const std::string& path, Ioctl call) {
  serial_rs485 settings = Rs485Of(options);
  if (call(fd, TIOCSRS485, &settings) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat("rs485: the driver of ", path, " cannot switch the direction (TIOCSRS485: ", std::strerror(errno),
             "); use rs485 = false with an adapter that switches by itself"));
}

}  // namespace sluice::transport
