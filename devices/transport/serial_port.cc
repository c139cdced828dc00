#include "devices/transport/serial_port.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <asio.hpp>
#include <cerrno>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

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
    work_.reset();
    context_.stop();
    thread_.join();
  }
  void Post(std::function<void()> work) override { asio::post(context_, std::move(work)); }
  asio::io_context& context() { return context_; }

 private:
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

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
    });
    return absl::OkStatus();
  }

  SerialStatus status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
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
    });
  }

  void WriteNext() {
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
  }

  const SerialOptions options_;
  const SerialHandlers handlers_;
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
};

}  // namespace

std::unique_ptr<SerialLoop> SerialLoop::Create() { return std::make_unique<SerialLoopImpl>(); }

absl::StatusOr<std::unique_ptr<SerialPort>> SerialPort::Create(SerialLoop& loop, SerialOptions options,
                                                               SerialHandlers handlers) {
  RETURN_IF_ERROR(CheckSerialOptions(options));
  return std::make_unique<SerialPortImpl>(static_cast<SerialLoopImpl&>(loop), std::move(options), std::move(handlers));
}

}  // namespace sluice::transport
