#include "devices/transport/serial_port.h"

<<<<<<< HEAD
#include <fcntl.h>
=======
>>>>>>> h/devices
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <asio.hpp>
<<<<<<< HEAD
#include <cerrno>
#include <deque>
=======
#include <chrono>
#include <deque>
#include <filesystem>
>>>>>>> h/devices
#include <future>
#include <mutex>
#include <thread>
#include <utility>

<<<<<<< HEAD
#include "base/backoff.h"
#include "base/random.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "devices/transport/serial_identity.h"
#include "devices/transport/serial_settings.h"

namespace sluice::transport {
namespace {

constexpr size_t kMaxQueued = 64u << 10;

class SerialLoopImpl final : public SerialLoop {
 public:
  SerialLoopImpl() : work_(asio::make_work_guard(context_)), thread_([this] { context_.run(); }) {}
  ~SerialLoopImpl() override {
=======
#include "base/clock.h"
#include "base/strings.h"

namespace sluice::transport {

class SerialLoop {
 public:
  SerialLoop() : work_(asio::make_work_guard(context_)), thread_([this] { context_.run(); }) {}
  ~SerialLoop() {
>>>>>>> h/devices
    work_.reset();
    context_.stop();
    thread_.join();
  }
<<<<<<< HEAD
  void Post(std::function<void()> work) override { asio::post(context_, std::move(work)); }
  asio::io_context& context() { return context_; }
=======
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
>>>>>>> h/devices

 private:
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

<<<<<<< HEAD
// Lives as long as an operation of the loop refers to it; after Close nothing calls a handler any more.
class Line : public std::enable_shared_from_this<Line> {
 public:
  Line(asio::io_context& context, SerialOptions options, SerialHandlers handlers)
      : options_(std::move(options)),
        handlers_(std::move(handlers)),
        context_(context),
        port_(context),
        watch_(context),
        timer_(context),
        backoff_({.base_ms = options_.reopen_min_ms, .factor = 2.0, .cap_ms = options_.reopen_max_ms}, random_),
        name_(options_.path) {
    SetStatus("waiting", "not opened yet");
  }

  // All below on the loop's thread but Write and status.
  void Open() {
    if (closed_) return;
    timer_.cancel();
    auto opened = TryOpen();
    if (!opened.ok()) {
      WaitAndReopen(opened);
      return;
    }
    watch_.close(ignored_);
    backoff_.Reset();
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    if (handlers_.on_open) handlers_.on_open();
    Read();
  }

  void Close() {
    closed_ = true;
    {
      const std::lock_guard lock(mutex_);
      open_ = false;
      status_.state = "closed";
      status_.detail = "stopped";
    }
    port_.close(ignored_);
    watch_.close(ignored_);
    timer_.cancel();
  }

  absl::Status Write(std::string bytes) {
    {
      const std::lock_guard lock(mutex_);
      if (!open_) return absl::UnavailableError(StrCat(options_.path, " is not open: ", status_.detail));
      if (queued_ + bytes.size() > kMaxQueued) {
        return absl::ResourceExhaustedError(StrCat(options_.path, " does not take its bytes: ", queued_, " wait"));
      }
      queued_ += bytes.size();
    }
    asio::post(context_, [self = shared_from_this(), text = std::move(bytes)]() mutable {
      self->writes_.push_back(std::move(text));
      if (self->writes_.size() == 1) self->WriteNext();
=======
std::shared_ptr<SerialLoop> MakeSerialLoop() { return std::make_shared<SerialLoop>(); }

namespace {

constexpr auto kTick = std::chrono::milliseconds(50);
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
      self->outgoing_.push_back(std::move(bytes));
      if (self->outgoing_.size() == 1) self->WriteNext();
>>>>>>> h/devices
    });
    return absl::OkStatus();
  }

  SerialStatus status() const {
<<<<<<< HEAD
    const std::lock_guard lock(mutex_);
=======
    std::lock_guard lock(mu_);
>>>>>>> h/devices
    return status_;
  }

 private:
<<<<<<< HEAD
  absl::Status TryOpen() {
    // The stable name first: the port may have come back under another number.
    UniqueFd fd(open(name_.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    std::string opened = name_;
    if (!fd && name_ != options_.path && errno == ENOENT) {
      fd = UniqueFd(open(options_.path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
      opened = options_.path;
    }
    if (!fd) {
      switch (errno) {
        case ENOENT: return absl::NotFoundError(StrCat(opened, " is not there: is the cable plugged in?"));
        case EACCES: return absl::PermissionDeniedError(StrCat(opened, ": permission denied: the daemon's user must be in group dialout"));
        case EBUSY: return absl::UnavailableError(StrCat(opened, " is used by another program"));
        default: return WithContext(absl::ErrnoToStatus(errno, "open"), opened);
      }
    }
    RETURN_IF_ERROR(WithContext(ApplySerialSettings(fd.get(), options_), opened));
    name_ = StableName(opened, options_.identity_root);
    std::array<char, 128> tty{};
    if (ttyname_r(fd.get(), tty.data(), tty.size()) != 0) tty[0] = '\0';
    port_.assign(fd.Release(), ignored_);
    const std::lock_guard lock(mutex_);
    status_.state = "connected";
    status_.detail = name_ == options_.path ? "" : StrCat("also known as ", name_);
    status_.device = tty.data();
    ++status_.opens;
    return absl::OkStatus();
  }

  void Read() {
    port_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](asio::error_code error, size_t size) {
      if (self->closed_) return;
      if (error) {
        self->Lost(absl::UnavailableError(StrCat(self->name_, ": ", error == asio::error::eof ? "unplugged" : error.message())));
        return;
      }
      if (self->handlers_.on_bytes) self->handlers_.on_bytes({self->buffer_.data(), size});
      if (!self->closed_) self->Read();
=======
  void TryOpen() {
    if (!running_ || port_.is_open()) return;
    // A plain number says nothing about the device behind it: hold on to its name from the first time on.
    path_ = StablePathOf(path_, options_.by_id_folder);
    absl::StatusOr<int> fd = OpenSerial(options_, path_);
    if (!fd.ok()) {
      SetStatus(false, StrCat(MessageOf(fd.status()), "; waiting for it"));
      Watch();
      WaitAndRetry();
      return;
    }
    delay_ms_ = options_.retry_min_ms;
    std::error_code ignored;
    if (watch_.is_open()) watch_.close(ignored);
    retry_.cancel();
    port_.assign(*fd);
    const std::string device = std::filesystem::canonical(path_, ignored).string();
    SetStatus(true, StrCat(path_, device == path_ ? "" : StrCat(" → ", device), " at ", options_.baud, " ", options_.data_bits,
                           options_.parity == Parity::kNone ? "N" : options_.parity == Parity::kEven ? "E" : "O",
                           options_.stop_bits, options_.rs485 ? ", RS-485" : ""));
    if (handlers_.on_open) handlers_.on_open();
    Read();
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
>>>>>>> h/devices
    });
  }

  void WriteNext() {
<<<<<<< HEAD
    if (closed_ || !port_.is_open()) return;
    asio::async_write(port_, asio::buffer(writes_.front()), [self = shared_from_this()](asio::error_code error, size_t) {
      if (self->closed_ || error) return;   // the reader notices the loss too, and says so
      {
        const std::lock_guard lock(self->mutex_);
        self->queued_ -= self->writes_.front().size();
      }
      self->writes_.pop_front();
      if (!self->writes_.empty()) self->WriteNext();
    });
  }

  void Lost(const absl::Status& why) {
    port_.close(ignored_);
    writes_.clear();
    {
      const std::lock_guard lock(mutex_);
      open_ = false;
      queued_ = 0;
    }
    if (handlers_.on_lost) handlers_.on_lost(why);
    WaitAndReopen(why);
  }

  void WaitAndReopen(const absl::Status& why) {
    SetStatus("waiting", std::string(MessageOf(why)));
    const int64_t wait_ms = options_.reopen_min_ms + backoff_.NextMs();
    Watch();
    timer_.expires_after(std::chrono::milliseconds(std::min(wait_ms, options_.reopen_max_ms)));
    timer_.async_wait([self = shared_from_this()](asio::error_code error) {
      if (!error) self->Open();
    });
  }

  // A change in the folder of the port's name is a reason to look at once, not only when the timer is over.
  void Watch() {
    if (watch_.is_open()) watch_.close(ignored_);
    UniqueFd fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd) return;   // the timer serves
    for (const std::string& path : {name_, options_.path}) {
      inotify_add_watch(fd.get(), ExistingFolder(path).c_str(), IN_CREATE | IN_MOVED_TO | IN_ATTRIB);
    }
    watch_.assign(fd.Release(), ignored_);
    watch_.async_read_some(asio::buffer(events_), [self = shared_from_this()](asio::error_code error, size_t) {
      if (!error && !self->closed_ && !self->port_.is_open()) self->Open();
    });
  }

  void SetStatus(std::string state, std::string detail) {
    const std::lock_guard lock(mutex_);
    status_.state = std::move(state);
    status_.detail = std::move(detail);
    if (status_.state != "connected") status_.device.clear();
=======
    if (outgoing_.empty() || !port_.is_open()) return;
    asio::async_write(port_, asio::buffer(outgoing_.front()), [self = shared_from_this()](std::error_code error, size_t) {
      if (error || self->outgoing_.empty()) return;   // the reader sees the loss, too
      {
        std::lock_guard lock(self->mu_);
        self->queued_ -= self->outgoing_.front().size();
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
    if (handlers_.on_close) handlers_.on_close(absl::UnavailableError(StrCat(path_, ": ", why)));
    delay_ms_ = options_.retry_min_ms;
    Watch();
    WaitAndRetry();
  }

  void Tick() {
    tick_.expires_after(kTick);
    tick_.async_wait([self = shared_from_this()](std::error_code error) {
      if (error || !self->running_) return;
      if (self->handlers_.on_tick) self->handlers_.on_tick(SystemClock().MonotonicUs() / 1000);
      if (self->running_) self->Tick();
    });
  }

  void SetStatus(bool open, std::string detail) {
    std::lock_guard lock(mu_);
    if (open && !status_.open) ++status_.opened;
    status_.open = open;
    status_.detail = std::move(detail);
>>>>>>> h/devices
  }

  const SerialOptions options_;
  const SerialHandlers handlers_;
<<<<<<< HEAD
  asio::io_context& context_;
  asio::posix::stream_descriptor port_;
  asio::posix::stream_descriptor watch_;
  asio::steady_timer timer_;
  SystemRandom random_;
  Backoff backoff_;
  std::string name_;   // under which the port is looked for
  std::array<char, 4096> buffer_{};
  std::array<char, 4096> events_{};
  std::deque<std::string> writes_;
  bool closed_ = false;
  asio::error_code ignored_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  SerialStatus status_;
  bool open_ = false;
  size_t queued_ = 0;
};

class SerialPortImpl final : public SerialPort {
 public:
  SerialPortImpl(SerialLoopImpl& loop, SerialOptions options, SerialHandlers handlers)
      : loop_(loop), line_(std::make_shared<Line>(loop.context(), std::move(options), std::move(handlers))) {}
  ~SerialPortImpl() override { Stop(); }
  void Start() override {
    loop_.Post([line = line_] { line->Open(); });
  }
  void Stop() override {
    if (std::exchange(stopped_, true)) return;
    std::promise<void> done;
    loop_.Post([&] {
      line_->Close();
      done.set_value();
    });
    done.get_future().wait();
  }
  absl::Status Write(std::string bytes) override { return line_->Write(std::move(bytes)); }
  SerialStatus status() const override { return line_->status(); }

 private:
  SerialLoopImpl& loop_;
  const std::shared_ptr<Line> line_;
  bool stopped_ = false;
=======
  asio::posix::stream_descriptor port_;
  asio::posix::stream_descriptor watch_;
  asio::steady_timer retry_;
  asio::steady_timer tick_;
  std::string path_;
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
>>>>>>> h/devices
};

}  // namespace

<<<<<<< HEAD
std::unique_ptr<SerialLoop> SerialLoop::Create() { return std::make_unique<SerialLoopImpl>(); }

absl::StatusOr<std::unique_ptr<SerialPort>> SerialPort::Create(SerialLoop& loop, SerialOptions options,
                                                               SerialHandlers handlers) {
  RETURN_IF_ERROR(CheckSerialOptions(options));
  return std::make_unique<SerialPortImpl>(static_cast<SerialLoopImpl&>(loop), std::move(options), std::move(handlers));
=======
std::unique_ptr<SerialPort> MakeSerialPort(std::shared_ptr<SerialLoop> loop, SerialOptions options, SerialHandlers handlers) {
  return std::make_unique<AsioSerialPort>(std::move(loop), std::move(options), std::move(handlers));
>>>>>>> h/devices
}

}  // namespace sluice::transport
