#include "sync/uplink.h"

#include <grpcpp/channel.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "base/status.h"
#include "sync/identity_watch.h"
#include "sync/link_inspector.h"
#include "sync/mailbox.h"
#include "sync/stream.h"

namespace sluice::sync {
namespace {

constexpr int64_t kLongestWaitUs = 1'000'000;
constexpr int64_t kLeastWaitUs = 100;
constexpr int64_t kCancelWaitUs = 1'000'000;
// A stream that leaves for a new certificate may still take its acknowledgements for so long.
constexpr int64_t kLeaveUs = 5'000'000;

// One queue: its sender, when to try, and the stream if there is one. For the uplink's thread.
struct Line {
  Line(const UplinkOptions& options, Queue line_queue, Outbox& outbox, LinkShare& share, Observer* observer,
       Random& random)
      : queue(line_queue),
        sender(options.sender, line_queue, outbox, share, observer),
        retry(options.retry, random) {}

  const Queue queue;
  Sender sender;
  RetryPolicy retry;
  std::shared_ptr<Stream> stream;
  uint64_t tries = 0;        // also tells the callbacks of this stream from those of an older one
  bool writing = false;
  bool half_closed = false;
  int64_t leave_by_us = 0;   // set: it ends in good order, or else then
  Credentials credentials;   // of the stream
  bool welcomed = false;
  TlsVerdict::Kind certificates = TlsVerdict::Kind::kNothing;
  std::string detail, last_alarm, last_dead_letter;
  std::string clock_complaint;   // of this try, until the cloud has welcomed us all the same
};

class UplinkImpl final : public Uplink, private Observer {
 public:
  UplinkImpl(UplinkOptions options, Outbox& outbox, const Clock& clock, Random& random, Observer* observer)
      : options_(std::move(options)), outbox_(outbox), clock_(clock), observer_(observer), identity_watch_(options_.identity) {
    inspector_ = std::make_unique<LinkInspector>(
        mailbox_, [this](const std::string& address, const TlsVerdict& verdict) { Found(address, verdict); });
    for (const Queue queue : options_.queues) {
      lines_.push_back(std::make_unique<Line>(options_, queue, outbox, share_, static_cast<Observer*>(this), random));
      outbox_.SetWakeup(queue, [mailbox = mailbox_, queue] { mailbox->Wake(queue); });
    }
    Publish(clock_.MonotonicUs());
  }
  ~UplinkImpl() override { Stop(); }

  void Start() override {
    const std::lock_guard lock(lifecycle_mutex_);
    if (started_ || stopped_) return;
    started_ = true;
    thread_ = std::thread([this] { Run(); });
  }

  void Stop() override {
    const std::lock_guard lock(lifecycle_mutex_);
    if (stopped_) return;
    stopped_ = true;
    mailbox_->Post([this] { stopping_ = true; });
    if (thread_.joinable()) thread_.join();
    inspector_.reset();
    mailbox_->Close();
  }

  void SyncNow() override {
    mailbox_->Post([this] { PromptWaiting(); });
  }

  void LinkChanged(bool up) override {
    mailbox_->Post([this, up] {
      link_down_ = !up;
      if (up) PromptWaiting();
    });
  }

  std::vector<QueueStatus> Status() const override {
    const std::lock_guard lock(status_mutex_);
    return status_;
  }

 private:
  void Run() {
    running_ = true;
    for (const auto& line : lines_) line->retry.Prompt(clock_.MonotonicUs());
    while (!stopping_) {
      const int64_t now = clock_.MonotonicUs();
      if (now >= look_at_identity_us_) LookAtIdentity(now);
      int64_t wake = std::min(now + kLongestWaitUs, look_at_identity_us_);
      for (const auto& line : lines_) wake = std::min(wake, Pump(*line, now));
      Publish(now);
      HandleMail(std::max(wake - clock_.MonotonicUs(), kLeastWaitUs));
    }
    WindDown();
    running_ = false;
    Publish(clock_.MonotonicUs());
  }

  void HandleMail(int64_t wait_us) {
    Mailbox::Mail mail = mailbox_->Take(wait_us);
    for (const auto& line : lines_) {
      if ((mail.woken >> QueueIndex(line->queue)) & 1u) line->sender.ItemsAvailable();
    }
    for (Task& task : mail.tasks) task();
  }

  // Does what is due now; returns when to come again.
  int64_t Pump(Line& line, int64_t now) {
    if (line.stream == nullptr) {
      if (now < line.retry.next_try_us()) return line.retry.next_try_us();
      Connect(line, now);
      if (line.stream == nullptr) return line.retry.next_try_us();
    }
    if (line.leave_by_us != 0) return Leave(line, now);
    if (line.writing) {
      if (const absl::Status overdue = line.sender.Overdue(now); !overdue.ok()) End(line, overdue, std::nullopt);
      return now + kLongestWaitUs;
    }
    const absl::StatusOr<bool> written = line.sender.Next(now, line.stream->outgoing());
    if (!written.ok()) {
      End(line, written.status(), std::nullopt);
      return line.retry.next_try_us();
    }
    if (!*written) return line.sender.WakeAtUs();
    line.writing = true;
    line.stream->Write();
    return now + kLongestWaitUs;
  }

  // Streams with another certificate than the one that is in the files now end.
  void LookAtIdentity(int64_t now) {
    look_at_identity_us_ = now + options_.identity_poll_ms * 1000;
    identity_due_ |= identity_watch_.Changed();
    if (!identity_due_) return;
    const absl::StatusOr<Credentials> credentials = LoadCredentials(options_.identity);
    if (!credentials.ok()) return;
    identity_due_ = !TakeShop(credentials->identity);
    for (const auto& line : lines_) {
      if (line->stream == nullptr) {
        line->retry.Prompt(now);
      } else if (line->credentials.certificate_pem != credentials->certificate_pem && line->leave_by_us == 0) {
        line->leave_by_us = now + kLeaveUs;
      }
    }
  }

  // False: the certificate names another shop than the running epoch, and there is no room for a new one yet.
  bool TakeShop(const GatewayIdentity& identity) {
    const Epoch running = outbox_.RunningEpoch(lines_.front()->queue);
    if (identity.gateway != running.gateway || identity.shop == running.shop) return true;
    if (!outbox_.BeginEpoch(identity.shop).ok()) return false;
    if (observer_ != nullptr) observer_->OnShopChanged(identity.shop);
    return true;
  }

  int64_t Leave(Line& line, int64_t now) {
    if (!line.writing && !line.half_closed) {
      line.half_closed = true;
      line.stream->HalfClose();
    }
    if (now >= line.leave_by_us) {
      End(line, absl::UnavailableError("the certificate changed"), std::nullopt);
      return line.retry.next_try_us();
    }
    return line.leave_by_us;
  }

  void Connect(Line& line, int64_t now) {
    ++line.tries;
    line.writing = line.half_closed = line.welcomed = false;
    const absl::StatusOr<Credentials> credentials = LoadCredentials(options_.identity);
    line.clock_complaint.clear();
    if (!credentials.ok()) return End(line, credentials.status(), std::nullopt);
    line.clock_complaint = ClockComplaint(StrCat("certificate ", options_.identity.certificate), credentials->validity,
                                          clock_.WallMs());
    if (!TakeShop(credentials->identity)) identity_due_ = true;
    line.credentials = *credentials;
    const absl::Status connected = line.sender.Connected(StreamIdentity{.gateway = credentials->identity.gateway,
                                                                        .shop = credentials->identity.shop,
                                                                        .hardware_id = options_.hardware_id,
                                                                        .software = options_.software},
                                                         now);
    if (!connected.ok()) return End(line, connected, std::nullopt);
    StreamHandlers handlers;
    handlers.on_frame = [this, &line, tries = line.tries](const v1::ServerFrame& frame) {
      if (line.tries != tries || line.stream == nullptr) return;
      const absl::Status status = line.sender.OnFrame(frame, clock_.MonotonicUs());
      if (!status.ok()) return End(line, status, std::nullopt);
      if (!line.sender.streaming()) return;
      if (!std::exchange(line.welcomed, true)) inspector_->Forget(Address(line.queue));
      line.certificates = TlsVerdict::Kind::kNothing;
      line.detail.clear();
      line.clock_complaint.clear();
    };
    handlers.on_written = [&line, tries = line.tries] {
      if (line.tries == tries) line.writing = false;
    };
    handlers.on_end = [this, &line, tries = line.tries](absl::Status status, std::optional<int64_t> hint_ms) {
      --open_streams_;
      if (line.tries != tries || line.stream == nullptr) return;
      line.stream = nullptr;
      if (status.ok()) status = absl::UnavailableError("the cloud ended the stream");
      End(line, std::move(status), hint_ms);
    };
    ++open_streams_;
    line.stream = Stream::Open(MakeChannel(Address(line.queue), *credentials, options_.channel), mailbox_,
                               std::move(handlers));
  }

  void End(Line& line, absl::Status status, std::optional<int64_t> hint_ms) {
    if (line.stream != nullptr) {
      line.stream->Cancel();
      line.stream = nullptr;
    }
    const int64_t now = clock_.MonotonicUs();
    StreamEnd end = line.sender.Disconnected(std::move(status), hint_ms, now);
    bool unclear = false;
    if (const TlsVerdict* verdict = WhyNotWelcomed(line, end, now, unclear); verdict != nullptr) {
      line.certificates = verdict->kind;
      if (verdict->kind != TlsVerdict::Kind::kNothing) end.status = StatusOf(*verdict);
    } else if (!unclear) {
      line.certificates = TlsVerdict::Kind::kNothing;
    }
    Describe(line, end.status);
    line.retry.Ended(end, link_down_, now);
    if (std::exchange(line.leave_by_us, 0) != 0) line.retry.Prompt(now);
  }

  // gRPC says only that the connection ended. Null: that says enough, or (`unclear`) it is being looked into.
  const TlsVerdict* WhyNotWelcomed(const Line& line, const StreamEnd& end, int64_t now, bool& unclear) {
    if (line.welcomed || stopping_ || end.hint_ms || !absl::IsUnavailable(end.status)) return nullptr;
    unclear = true;
    return inspector_->Look({.address = Address(line.queue),
                             .server_name = options_.channel.server_name,
                             .credentials = line.credentials,
                             .now_ms = clock_.WallMs()},
                            now);
  }

  // A certificate that is refused is a refusal for who we are, and goes the slow way (PROTOCOL 36).
  static absl::Status StatusOf(const TlsVerdict& verdict) {
    const bool ours = verdict.kind == TlsVerdict::Kind::kOursRefused;
    return {ours ? absl::StatusCode::kUnauthenticated : absl::StatusCode::kUnavailable, AsAbsl(verdict.text)};
  }

  static void Describe(Line& line, const absl::Status& status) {
    line.detail = StrCat(line.clock_complaint, line.clock_complaint.empty() ? "" : "; ",
                         AsStd(absl::StatusCodeToString(status.code())), ": ", MessageOf(status));
  }

  // Those that wait already took it for a failure of the network.
  void Found(const std::string& address, const TlsVerdict& verdict) {
    for (const auto& line : lines_) {
      if (Address(line->queue) != address || line->stream != nullptr || line->welcomed) continue;
      line->certificates = verdict.kind;
      if (verdict.kind == TlsVerdict::Kind::kNothing) continue;
      Describe(*line, StatusOf(verdict));
      if (verdict.kind == TlsVerdict::Kind::kOursRefused) {
        line->retry.Ended({.status = StatusOf(verdict)}, link_down_, clock_.MonotonicUs());
      }
    }
  }

  // Half-closes, takes what still comes, then cancels.
  void WindDown() {
    const int64_t begin = clock_.MonotonicUs();
    const int64_t cancel_at = begin + options_.stop_timeout_ms * 1000;
    bool cancelled = false;
    while (open_streams_ > 0) {
      const int64_t now = clock_.MonotonicUs();
      if (now >= cancel_at && !cancelled) {
        cancelled = true;
        for (const auto& line : lines_) {
          if (line->stream != nullptr) line->stream->Cancel();
        }
      }
      if (now >= cancel_at + kCancelWaitUs) break;
      for (const auto& line : lines_) {
        if (line->stream == nullptr || line->writing || line->half_closed) continue;
        line->half_closed = true;
        line->stream->HalfClose();
      }
      HandleMail(std::clamp<int64_t>((cancelled ? cancel_at + kCancelWaitUs : cancel_at) - now, kLeastWaitUs, 50'000));
    }
    for (const auto& line : lines_) {
      if (line->stream != nullptr) End(*line, absl::CancelledError("stopped"), std::nullopt);
    }
  }

  void PromptWaiting() {
    for (const auto& line : lines_) {
      if (line->stream == nullptr) line->retry.Prompt(clock_.MonotonicUs());
    }
  }

  const std::string& Address(Queue queue) const {
    switch (queue) {
      case Queue::kInventory: return options_.inventory_address;
      case Queue::kAttendance: return options_.attendance_address;
      case Queue::kShopUrgent:
      case Queue::kShopBulk: break;
    }
    return options_.shop_address;
  }

  LinkState StateOf(const Line& line) const {
    if (!running_) return LinkState::kStopped;
    if (line.stream != nullptr) return line.sender.streaming() ? LinkState::kStreaming : LinkState::kConnecting;
    return line.retry.slow() ? LinkState::kRefused : LinkState::kWaiting;
  }

  void Publish(int64_t now) {
    const std::lock_guard lock(status_mutex_);
    status_.resize(lines_.size());
    for (size_t i = 0; i < lines_.size(); ++i) {
      const Line& line = *lines_[i];
      QueueStatus& status = status_[i];
      status.queue = line.queue;
      status.address = Address(line.queue);
      status.link = StateOf(line);
      status.detail = line.detail;
      status.certificates = line.certificates;
      status.last_alarm = line.last_alarm;
      status.last_dead_letter = line.last_dead_letter;
      const bool waits = status.link == LinkState::kWaiting || status.link == LinkState::kRefused;
      status.next_try_ms = waits ? std::max<int64_t>((line.retry.next_try_us() - now) / 1000, 1) : 0;
      status.tries = line.tries;
      status.failures = line.retry.failures();
      status.figures = line.sender.figures();
    }
  }

  void OnAlarm(Queue queue, Alarm alarm, const std::string& text) override {
    if (Line* line = Find(queue)) line->last_alarm = StrCat(AlarmName(alarm), ": ", text);
    if (observer_ != nullptr) observer_->OnAlarm(queue, alarm, text);
  }

  void OnDeadLetter(Queue queue, const EpochId& epoch, uint64_t number, const std::string& reason) override {
    if (Line* line = Find(queue)) line->last_dead_letter = StrCat(number, ": ", reason);
    if (observer_ != nullptr) observer_->OnDeadLetter(queue, epoch, number, reason);
  }

  Line* Find(Queue queue) {
    for (const auto& line : lines_) {
      if (line->queue == queue) return line.get();
    }
    return nullptr;
  }

  const UplinkOptions options_;
  Outbox& outbox_;
  const Clock& clock_;
  Observer* const observer_;
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();

  // Of the thread:
  LinkShare share_;
  std::vector<std::unique_ptr<Line>> lines_;
  size_t open_streams_ = 0;   // whose end has not come yet
  IdentityWatch identity_watch_;
  std::unique_ptr<LinkInspector> inspector_;
  int64_t look_at_identity_us_ = 0;
  bool identity_due_ = false;   // it changed, and could not be used yet
  bool running_ = false;
  bool stopping_ = false;
  bool link_down_ = false;

  std::mutex lifecycle_mutex_;
  // Guarded by lifecycle_mutex_:
  std::thread thread_;
  bool started_ = false;
  bool stopped_ = false;

  mutable std::mutex status_mutex_;
  // Guarded by status_mutex_:
  std::vector<QueueStatus> status_;
};

}  // namespace

std::string_view LinkStateName(LinkState state) {
  switch (state) {
    case LinkState::kStopped: return "stopped";
    case LinkState::kConnecting: return "connecting";
    case LinkState::kStreaming: return "streaming";
    case LinkState::kWaiting: return "waiting";
    case LinkState::kRefused: return "refused";
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<Uplink>> Uplink::Create(UplinkOptions options, Outbox& outbox, const Clock& clock,
                                                       Random& random, Observer* observer) {
  const auto missing = [&](Queue queue, const std::string& address) {
    return address.empty() && std::count(options.queues.begin(), options.queues.end(), queue) > 0;
  };
  if (missing(Queue::kShopUrgent, options.shop_address) || missing(Queue::kShopBulk, options.shop_address)) {
    return absl::InvalidArgumentError("uplink: no address of the shop service");
  }
  if (missing(Queue::kInventory, options.inventory_address)) {
    return absl::InvalidArgumentError("uplink: no address of the inventory service");
  }
  if (missing(Queue::kAttendance, options.attendance_address)) {
    return absl::InvalidArgumentError("uplink: no address of the attendance service");
  }
  if (options.hardware_id.empty()) return absl::InvalidArgumentError("uplink: no hardware id");
  return std::make_unique<UplinkImpl>(std::move(options), outbox, clock, random, observer);
}

}  // namespace sluice::sync
