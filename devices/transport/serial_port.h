// One serial line: opened, configured, reopened when it vanishes, found again under whatever number it returns.
//
// All ports share one thread, the SerialLoop's; handlers are called on it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice::transport {

// The one thread of all serial ports (an asio::io_context). Ports must be stopped before it is destroyed.
class SerialLoop {
 public:
  static std::unique_ptr<SerialLoop> Create();
  virtual ~SerialLoop() = default;                            // stops and joins
  virtual void Post(std::function<void()> work) = 0;          // thread-safe; runs on the loop
};

enum class SerialParity { kNone, kEven, kOdd };
enum class SerialFlow { kNone, kRtsCts, kXonXoff };

// Linux Documentation/driver-api/serial/serial-rs485.rst: struct serial_rs485, TIOCSRS485.
struct SerialRs485 {
  bool enabled = false;
  bool rts_on_send = true;
  uint32_t delay_before_ms = 0;
  uint32_t delay_after_ms = 0;
};

struct SerialOptions {
  std::string path;          // /dev/serial/by-id/… (best), by-path, or a tty, which is resolved to its by-id name when it is open
  uint32_t baud = 9600;      // the rates of termios up to 921600
  int data_bits = 8;         // 5 to 8
  SerialParity parity = SerialParity::kNone;
  int stop_bits = 1;         // 1 or 2
  SerialFlow flow = SerialFlow::kNone;
  bool strip_bit7 = false;   // mask the parity bit of 7-bit devices read as 8
  SerialRs485 rs485;
  std::string identity_root = "/dev/serial";   // where by-id and by-path lie
  int64_t reopen_min_ms = 250;
  int64_t reopen_max_ms = 5000;
};

struct SerialStatus {
  std::string state;    // connected, waiting, closed
  std::string detail;   // why, in words
  std::string device;   // the tty that is open now, after links were followed
  uint64_t opens = 0;
};

struct SerialHandlers {
  std::function<void()> on_open;
  std::function<void(std::string_view)> on_bytes;
  std::function<void(const absl::Status&)> on_lost;
};

class SerialPort {
 public:
  // InvalidArgument for settings no port can have. Does not open anything yet.
  static absl::StatusOr<std::unique_ptr<SerialPort>> Create(SerialLoop& loop, SerialOptions options, SerialHandlers handlers);
  virtual ~SerialPort() = default;     // as Stop
  virtual void Start() = 0;            // opens, and again after every loss
  virtual void Stop() = 0;             // no handler is called after it returned; not from a handler
  // Queued (at most 64 KiB) and written in order; Unavailable while the port is not open. Thread-safe.
  virtual absl::Status Write(std::string bytes) = 0;
  virtual SerialStatus status() const = 0;
};

// "8N1", "7E2" into bits, parity and stop bits.
absl::Status ParseSerialFraming(std::string_view framing, SerialOptions& options);

}  // namespace sluice::transport
