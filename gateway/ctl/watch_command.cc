#include "gateway/ctl/watch_command.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/status.h"
#include "gateway/ctl/ctl_client.h"
#include "gateway/ctl/escape.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/message_json.h"
#include "gateway/ctl/status_command.h"
#include "gateway/ctl/tail_command.h"
#include "gateway/ctl/watch_model.h"
#include "gateway/ctl/watch_screen.h"

namespace sluice::ctl {
namespace {

constexpr uint32_t kFirstEvents = 50;

// Follows the events of one connection on a thread of its own.
class EventTail {
 public:
  explicit EventTail(CtlClient& client, uint32_t last) : client_(client) {
    thread_ = std::thread([this, last] {
      pb::TailRequest request;
      request.set_last(last);
      request.set_follow(true);
      // Its failure is seen by the next GetStatus, which says more.
      (void)client_.Tail(request, [this](const pb::TailedEvent& event) {
        const std::lock_guard lock(mutex_);
        came_.push_back(event);
        if (came_.size() > WatchModel::kEvents) {
          const uint64_t dropped = came_.front().dropped() + 1;
          came_.pop_front();
          came_.front().set_dropped(came_.front().dropped() + dropped);
        }
        return true;
      });
    });
  }
  ~EventTail() {
    client_.Cancel();
    thread_.join();
  }
  std::deque<pb::TailedEvent> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(came_, {});
  }

 private:
  CtlClient& client_;
  std::mutex mutex_;
  std::deque<pb::TailedEvent> came_;   // under mutex_; at most WatchModel::kEvents
  std::thread thread_;
};

// A screen of its own while it lives; the user's comes back afterwards.
class Screen {
 public:
  explicit Screen(std::ostream& out) : out_(out) { out_ << "\x1b[?1049h\x1b[?25l" << std::flush; }
  ~Screen() { out_ << "\x1b[?25h\x1b[?1049l" << std::flush; }
  void Draw(const std::string& picture) {
    // Over the old picture, line by line, so that nothing flickers.
    std::string text = "\x1b[H";
    for (char c : picture) {
      if (c == '\n') text += "\x1b[K\r";
      text += c;
    }
    out_ << text << "\x1b[K\x1b[J" << std::flush;
  }
  static ScreenSize Size() {
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
    return {size.ws_col, size.ws_row};
  }

 private:
  std::ostream& out_;
};

sigset_t WatchedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) sigaddset(&signals, number);
  return signals;
}

// Until `deadline_us` (monotonic). The signal that came; 0: the time is over.
int WaitForSignal(const sigset_t& signals, const Clock& clock, int64_t deadline_us) {
  for (;;) {
    const int64_t left = std::max<int64_t>(0, deadline_us - clock.MonotonicUs());
    const timespec timeout{static_cast<time_t>(left / 1'000'000), static_cast<long>(left % 1'000'000) * 1000};
    const int number = sigtimedwait(&signals, nullptr, &timeout);
    if (number > 0) return number;
    if (errno == EAGAIN) return 0;
  }
}

// One connection to the daemon, made again when it broke.
class Connection {
 public:
  Connection(std::string socket_path, std::function<void(pb::TailedEvent)> take_event)
      : socket_path_(std::move(socket_path)), take_event_(std::move(take_event)) {}

  // The state now; the events since the last time go to take_event.
  absl::StatusOr<pb::GetStatusResponse> Ask() {
    if (client_ == nullptr) {
      ASSIGN_OR_RETURN(client_, CtlClient::Connect(socket_path_));
      // After a break only what is new: the rest is on the screen already.
      tail_ = std::make_unique<EventTail>(*client_, std::exchange(first_events_, 0));
    }
    auto status = client_->GetStatus();
    for (auto& event : tail_->Take()) take_event_(std::move(event));
    if (!status.ok()) {
      tail_.reset();
      client_.reset();
    }
    return status;
  }

 private:
  const std::string socket_path_;
  const std::function<void(pb::TailedEvent)> take_event_;
  uint32_t first_events_ = kFirstEvents;
  std::unique_ptr<CtlClient> client_;
  std::unique_ptr<EventTail> tail_;   // goes first: it uses client_
};

std::string SnapshotJson(const WatchModel& model, int64_t now_ms) {
  nlohmann::ordered_json json = {{"at_ms", now_ms}};
  if (!model.lost().empty() || !model.status()) {
    json["error"] = model.lost();
    return Dump(json);
  }
  json["accepted_per_second"] = model.accepted_rate();
  json["rates"] = nlohmann::ordered_json::object();
  for (const auto& queue : model.status()->queues()) {
    const auto rates = model.rates(queue.name());
    json["rates"][queue.name()] = {{"accepted_per_second", rates.accepted},
                                   {"acknowledged_per_second", rates.acknowledged}};
  }
  json["status"] = ToJson(*model.status());
  return Dump(json);
}

}  // namespace

int RunWatch(const Session& session, const WatchOptions& options) {
  // Before any thread is made, so that all of them inherit it.
  const sigset_t signals = WatchedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const SystemClock clock;
  const bool terminal = !session.json && isatty(STDOUT_FILENO) == 1;
  WatchModel model;
  Connection connection(session.socket_path, [&](pb::TailedEvent event) {
    if (!terminal && !session.json) session.out << FormatEvent(event) << '\n';
    model.AddEvent(std::move(event));
  });
  // A first failure is a mistake in the path far more often than a daemon that is about to come.
  auto status = connection.Ask();
  if (!status.ok()) return Fail(session, status.status());

  const char* no_colour = std::getenv("NO_COLOR");   // no-color.org
  const bool colour = terminal && (no_colour == nullptr || *no_colour == '\0');
  const std::unique_ptr<Screen> screen = terminal ? std::make_unique<Screen>(session.out) : nullptr;

  int64_t next_us = clock.MonotonicUs();
  for (uint64_t drawn = 1;; ++drawn) {
    if (status.ok()) {
      model.AddSnapshot(*std::move(status), clock.MonotonicUs());
    } else {
      model.Lost(std::string(MessageOf(status.status())));
    }
    if (screen != nullptr) {
      screen->Draw(DrawScreen(model, Screen::Size(), clock.WallMs(), colour));
    } else if (session.json) {
      session.out << SnapshotJson(model, clock.WallMs()) << '\n' << std::flush;
    } else {
      session.out << DrawLine(model, clock.WallMs()) << '\n' << std::flush;
    }
    if (!session.out.good() || drawn == options.count) break;

    next_us += options.interval_ms * 1000;
    int signal_number = 0;
    while ((signal_number = WaitForSignal(signals, clock, next_us)) == SIGWINCH) {
      if (screen != nullptr) screen->Draw(DrawScreen(model, Screen::Size(), clock.WallMs(), colour));
    }
    if (signal_number != 0) break;
    next_us = std::max(next_us, clock.MonotonicUs() - options.interval_ms * 1000);   // no burst after a pause
    status = connection.Ask();
  }
  return model.status() && !HasProblem(*model.status()) && model.lost().empty() ? kOk : kProblemFound;
}

}  // namespace sluice::ctl
