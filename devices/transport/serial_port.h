// Serial ports that come and go. One thread serves all of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice::transport {

enum class Parity { kNone, kEven, kOdd };
enum class FlowControl { kNone, kRtsCts, kXonXoff };

struct SerialOptions {
  // Best a link that udev keeps (/dev/serial/by-id/…, by-path/…): it follows the device to whatever number it gets. For a
  // plain tty its link is looked for when it is opened and, since udev makes the link after the node, every 200 ms while it is
  // open; without one only its number is known.
  std::string path;
  int baud = 9600;                 // one of kBaudRates
  int data_bits = 8;               // 5 to 8
  Parity parity = Parity::kNone;
  int stop_bits = 1;               // 1 or 2
  FlowControl flow = FlowControl::kNone;
  bool mask_bit7 = false;          // clears the top bit of every byte read: 7-bit devices read with 8
  bool rs485 = false;              // direction by the kernel's driver (TIOCSRS485)
  bool rs485_rts_on_send = true;   // the level of RTS while sending
  int rs485_delay_before_ms = 0;   // between RTS and the first bit, and the last bit and RTS
  int rs485_delay_after_ms = 0;
  int64_t retry_min_ms = 250;      // between attempts to open; also tried at once when its folder changes
  int64_t retry_max_ms = 5000;
  // Where udev keeps its links, the best name first: that of the device, then that of the socket it is plugged into.
  std::vector<std::string> link_folders = {"/dev/serial/by-id", "/dev/serial/by-path"};
};
// "300, 600, … 921600", for messages.
std::string BaudRateNames();
// InvalidArgument names what is wrong. Pure.
absl::Status CheckSerialOptions(const SerialOptions& options);
// The link in the first of `folders` that has one to `tty`; otherwise `tty`.
std::string StablePathOf(const std::string& tty, const std::vector<std::string>& folders);
// Opens and sets the port: non-blocking, exclusive (TIOCEXCL), raw. The descriptor is the caller's. Unavailable if it is
// not there or busy, FailedPrecondition if it is no serial port or its driver lacks what is asked for (RS-485).
absl::StatusOr<int> OpenSerial(const SerialOptions& options, const std::string& path);

// All called on the loop's thread.
struct SerialHandlers {
  std::function<void(std::string_view bytes)> on_bytes;
  std::function<void()> on_open;
  std::function<void(const absl::Status& why)> on_close;   // was open
  std::function<void(int64_t monotonic_ms)> on_tick;       // every 50 ms, open or not
};

struct SerialStatus {
  bool open = false;
  std::string detail;   // "/dev/serial/by-id/… → /dev/ttyUSB3 at 9600 8N1", or why it is not open
  uint64_t opened = 0;  // how often
};

// The thread of all serial ports. Ends when its last holder lets go, which must not be one of its handlers.
class SerialLoop;
std::shared_ptr<SerialLoop> MakeSerialLoop();

// Thread-safe.
class SerialPort {
 public:
  virtual ~SerialPort() = default;   // stops
  // InvalidArgument for options that can never work; a port that is not there is waited for.
  virtual absl::Status Start() = 0;
  virtual void Stop() = 0;           // no handler is called after it returned
  // Queued up to 64 KiB; Unavailable while the port is closed, ResourceExhausted beyond.
  virtual absl::Status Write(std::string bytes) = 0;
  virtual SerialStatus status() const = 0;
};
std::unique_ptr<SerialPort> MakeSerialPort(std::shared_ptr<SerialLoop> loop, SerialOptions options, SerialHandlers handlers);

}  // namespace sluice::transport
