#include "devices/transport/serial_port.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asio.hpp>
#include <chrono>
#include <deque>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/strings.h"

namespace sluice::transport {

class SerialLoop {
 public:
  SerialLoop() : work_(asio::make_work_guard(context_)), thread_([this] { context_.run(); }) {}
  ~SerialLoop() {
    work_.reset();
    context_.stop();
    thread_.join();
  }
  asio::io_context& context() { return context_; }
  // Runs `f` on the loop's thread and waits for its end.
  template <typename F>
  void Run(F f) {
    if (std::this_thread::get_id() == thread_.get_id()) return f();
    std::promise<void> done;
    asio::post(context_, [&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }

 private:
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

std::shared_ptr<SerialLoop> MakeSerialLoop() { return std::make_shared<SerialLoop>(); }

namespace {

constexpr auto kTick = std::chrono::milliseconds(50);
constexpr int kTicksToLook = 4;
constexpr size_t kMaxQueuedBytes = 64 * 1024;

// Lives until its last handler ran; everything but `status` and `queued` belongs to the loop's thread.
class Port : public std::enable_shared_from_this<Port> {
 public:
  Port(asio::io_context& context, SerialOptions options, SerialHandlers handlers)
      : options_(std::move(options)), handlers_(std::move(handlers)), port_(context), watch_(context), retry_(context),
        tick_(context), path_(options_.path), delay_ms_(options_.retry_min_ms) {}

  void Begin() {
    running_ = true;
    Tick();
    TryOpen();
  }

  void End() {
    running_ = false;
    std::error_code ignored;
    if (port_.is_open()) port_.close(ignored);
    if (watch_.is_open()) watch_.close(ignored);
    retry_.cancel();
    tick_.cancel();
    SetStatus(false, "stopped");
  }

  absl::Status Queue(std::string bytes) {
    {
      std::lock_guard lock(mu_);
      if (!status_.open) return absl::UnavailableError(StrCat("the port is closed: ", status_.detail));
      if (queued_ + bytes.size() > kMaxQueuedBytes) return absl::ResourceExhaustedError("too much waits to be written");
      queued_ += bytes.size();
    }
    asio::post(port_.get_executor(), [self = shared_from_this(), bytes = std::move(bytes)]() mutable {
      if (!self->port_.is_open()) {
        std::lock_guard lock(self->mu_);
        self->queued_ -= std::min(self->queued_, bytes.size());
        return;
      }
      self->outgoing_.push_back(std::move(bytes));
      if (self->outgoing_.size() == 1) self->WriteNext();
    });
    return absl::OkStatus();
  }

  SerialStatus status() const {
    std::lock_guard lock(mu_);
    return status_;
  }

 private:
  void TryOpen() {
    if (!running_ || port_.is_open()) return;
    // A plain number says nothing about the device behind it: hold on to its name from the first time on.
    path_ = StablePathOf(path_, options_.link_folders);
    Watch();   // before the attempt, so that nothing falls between
    absl::StatusOr<int> fd = OpenSerial(options_, path_);
    if (!fd.ok()) {
      SetStatus(false, StrCat(MessageOf(fd.status()), "; waiting for it"));
      WaitAndRetry();
      return;
    }
    delay_ms_ = options_.retry_min_ms;
    std::error_code ignored;
    if (watch_.is_open()) watch_.close(ignored);
    retry_.cancel();
    port_.assign(*fd);
    device_ = std::filesystem::canonical(path_, ignored).string();
    ticks_to_look_ = kTicksToLook;
    TellOpen();
    if (handlers_.on_open) handlers_.on_open();
    Read();
  }

  void TellOpen() {
    SetStatus(true, StrCat(path_, device_ == path_ ? "" : StrCat(" → ", device_), " at ", options_.baud, " ", options_.data_bits,
                           options_.parity == Parity::kNone ? "N" : options_.parity == Parity::kEven ? "E" : "O",
                           options_.stop_bits, options_.rs485 ? ", RS-485" : ""));
  }

  // The node is there before udev has made its links, and one of them before the other; and of two adapters that give no
  // serial number the later one takes over the by-id link. So the name of a device that was given as a plain tty is looked
  // for as long as it is open.
  void LookForItsName() {
    std::error_code error;
    if (std::filesystem::is_symlink(options_.path, error)) return;   // a link is what was meant
    // A name that leads nowhere says that the device is leaving: its last name is the one to wait for.
    if (!std::filesystem::exists(path_, error)) return;
    const std::string name = StablePathOf(device_, options_.link_folders);
    if (name == device_ || name == path_) return;
    path_ = name;
    TellOpen();
  }

  void WaitAndRetry() {
    retry_.expires_after(std::chrono::milliseconds(delay_ms_));
    delay_ms_ = std::min(delay_ms_ * 2, options_.retry_max_ms);
    retry_.async_wait([self = shared_from_this()](std::error_code error) {
      if (!error) self->TryOpen();
    });
  }

  // Learns at once when something appears in the folder of the link, or in the nearest folder above that exists: udev
  // removes /dev/serial/by-id with its last link.
  void Watch() {
    std::error_code ignored;
    if (watch_.is_open()) watch_.close(ignored);
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return;   // the retries remain
    std::filesystem::path folder = std::filesystem::path(path_).parent_path();
    while (inotify_add_watch(fd, folder.c_str(), IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_ONLYDIR) < 0 &&
           folder.has_relative_path()) {
      folder = folder.parent_path();
    }
    watch_.assign(fd);
    watch_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](std::error_code error) {
      if (error || !self->running_) return;
      self->delay_ms_ = self->options_.retry_min_ms;
      self->TryOpen();
    });
  }

  void Read() {
    port_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](std::error_code error, size_t size) {
      if (!self->running_) return;
      if (error || size == 0) return self->Closed(error ? error.message() : "end of file");
      if (self->options_.mask_bit7) {
        for (size_t i = 0; i < size; ++i) self->buffer_[i] &= 0x7f;
      }
      self->handlers_.on_bytes({self->buffer_.data(), size});
      if (self->running_ && self->port_.is_open()) self->Read();
    });
  }

  void WriteNext() {
    if (outgoing_.empty() || !port_.is_open()) return;
    asio::async_write(port_, asio::buffer(outgoing_.front()), [self = shared_from_this()](std::error_code error, size_t) {
      if (error || self->outgoing_.empty()) return;   // the reader sees the loss, too
      {
        std::lock_guard lock(self->mu_);
        self->queued_ -= std::min(self->queued_, self->outgoing_.front().size());
      }
      self->outgoing_.pop_front();
      self->WriteNext();
    });
  }

  void Closed(const std::string& why) {
    std::error_code ignored;
    port_.close(ignored);
    outgoing_.clear();
    {
      std::lock_guard lock(mu_);
      queued_ = 0;
    }
    SetStatus(false, StrCat(path_, ": ", why));
    delay_ms_ = options_.retry_min_ms;
    Watch();   // before anybody knows that it is gone: what they do about it is seen
    if (handlers_.on_close) handlers_.on_close(absl::UnavailableError(StrCat(path_, ": ", why)));
    if (running_) WaitAndRetry();
  }

  void Tick() {
    tick_.expires_after(kTick);
    tick_.async_wait([self = shared_from_this()](std::error_code error) {
      if (error || !self->running_) return;
      if (self->port_.is_open() && --self->ticks_to_look_ <= 0) {
        self->ticks_to_look_ = kTicksToLook;
        self->LookForItsName();
      }
      if (self->handlers_.on_tick) self->handlers_.on_tick(SystemClock().MonotonicUs() / 1000);
      if (self->running_) self->Tick();
    });
  }

  void SetStatus(bool open, std::string detail) {
    std::lock_guard lock(mu_);
    if (open && !status_.open) ++status_.opened;
    status_.open = open;
    status_.detail = std::move(detail);
  }

  const SerialOptions options_;
  const SerialHandlers handlers_;
  asio::posix::stream_descriptor port_;
  asio::posix::stream_descriptor watch_;
  asio::steady_timer retry_;
  asio::steady_timer tick_;
  std::string path_;
  std::string device_;   // the node behind path_ when it was opened
  int ticks_to_look_ = kTicksToLook;
  int64_t delay_ms_;
  bool running_ = false;
  std::array<char, 4096> buffer_;
  std::deque<std::string> outgoing_;

  mutable std::mutex mu_;
  SerialStatus status_;    // guarded by mu_
  size_t queued_ = 0;      // bytes; guarded by mu_
};

class AsioSerialPort final : public SerialPort {
 public:
  AsioSerialPort(std::shared_ptr<SerialLoop> loop, SerialOptions options, SerialHandlers handlers)
      : loop_(std::move(loop)), options_(options),
        port_(std::make_shared<Port>(loop_->context(), std::move(options), std::move(handlers))) {}
  ~AsioSerialPort() override { Stop(); }

  absl::Status Start() override {
    if (absl::Status status = CheckSerialOptions(options_); !status.ok()) return status;
    started_ = true;
    loop_->Run([this] { port_->Begin(); });
    return absl::OkStatus();
  }
  void Stop() override {
    if (!std::exchange(started_, false)) return;
    loop_->Run([this] { port_->End(); });
  }
  absl::Status Write(std::string bytes) override { return port_->Queue(std::move(bytes)); }
  SerialStatus status() const override { return port_->status(); }

 private:
  const std::shared_ptr<SerialLoop> loop_;
  const SerialOptions options_;
  const std::shared_ptr<Port> port_;
  bool started_ = false;
};

}  // namespace

std::unique_ptr<SerialPort> MakeSerialPort(std::shared_ptr<SerialLoop> loop, SerialOptions options, SerialHandlers handlers) {
  return std::make_unique<AsioSerialPort>(std::move(loop), std::move(options), std::move(handlers));
}

}  // namespace sluice::transport
