#include "devices/sim/mqtt_link.h"

#include <algorithm>
#include <tuple>

#include "base/file.h"
#include "base/status.h"

namespace sluice::sim {
namespace {

constexpr Backoff::Options kReconnect{.base_ms = 200, .factor = 2.0, .cap_ms = 5000};
// A server that checks many passwords at a time may be slow to answer.
constexpr int64_t kConnectPatienceUs = 60'000'000;
constexpr uint32_t kSessionExpiryS = 3600;
constexpr uint16_t kSubscribeId = 65535;
constexpr size_t kMostOutBytes = 256 << 10;  // not yet taken by the socket: beyond, nothing more is sent
constexpr std::string_view kWill = R"({"state":"offline"})";

std::string ForDevice(std::string path, const std::string& device) {
  constexpr std::string_view kMark = "{device}";
  if (const size_t at = path.find(kMark); at != std::string::npos) path.replace(at, kMark.size(), device);
  return path;
}

std::string Trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContexts::For(const std::string& ca, const std::string& certificate,
                                                             const std::string& key) {
  std::shared_ptr<TlsContext>& context = contexts_[StrCat(ca, "\n", certificate, "\n", key)];
  if (context == nullptr) {
    ASSIGN_OR_RETURN(context, TlsContext::Make(ca, certificate, key));
  }
  return context;
}

MqttLink::MqttLink(std::string device, const ServerOptions& options, TlsContexts& contexts, Poller& poller,
                   LinkListener& listener, Random& random)
    : device_(std::move(device)),
      topic_prefix_("sluice/v1/" + device_ + "/"),
      options_(options),
      contexts_(contexts),
      poller_(poller),
      listener_(listener),
      backoff_(kReconnect, random) {}

MqttLink::~MqttLink() {
  if (watched_fd_ >= 0) poller_.Forget(watched_fd_);
}

absl::Status MqttLink::Connect() {
  std::shared_ptr<TlsContext> tls;
  if (options_.tls) {
    ASSIGN_OR_RETURN(tls, contexts_.For(options_.ca, ForDevice(options_.certificate, device_),
                                        ForDevice(options_.key, device_)));
  }
  user_ = options_.username;
  password_ = options_.password;
  if (!options_.credentials.empty()) {
    user_ = device_;
    ASSIGN_OR_RETURN(password_, ReadFile(options_.credentials + "/" + device_, 4096));
    password_ = Trimmed(std::move(password_));
  } else if (!options_.passwords.empty()) {
    user_ = device_;
    const auto found = options_.passwords.find(device_);
    if (found == options_.passwords.end()) return absl::NotFoundError("the credentials file does not name the device");
    password_ = found->second;
  }
  ASSIGN_OR_RETURN(socket_, Socket::Connect(options_.host, options_.port, std::move(tls)));
  connecting_since_us_ = now_us_;
  return absl::OkStatus();
}

void MqttLink::AppendConnectPacket() {
  const std::string will_topic = topic_prefix_ + "status";
  AppendConnect({.version = options_.version,
                 .client_id = device_,
                 .user = user_,
                 .password = password_,
                 .clean = !options_.resume,
                 .session_expiry_s = options_.resume ? kSessionExpiryS : 0,
                 .keepalive_s = options_.keepalive_s,
                 .will_topic = will_topic,
                 .will_payload = kWill},
                out_);
}

void MqttLink::Drop(std::string_view reason) {
  if (watched_fd_ >= 0) poller_.Forget(watched_fd_);
  watched_fd_ = -1;
  socket_.reset();
  in_.clear();
  out_.clear();
  out_done_ = 0;
  open_ = up_ = false;
  ping_at_us_ = 0;
  if (options_.resume) {
    // What was sent again already comes before what was not.
    carried_.insert(carried_.begin(), in_flight_.begin(), in_flight_.end());
  } else {
    carried_.clear();
  }
  in_flight_.clear();
  connect_at_us_ = -1;  // the next Tick sets the time
  listener_.OnDown(reason);
}

void MqttLink::Watch() {
  if (socket_ == nullptr) return;
  const bool writing = out_done_ < out_.size() || socket_->WantsWrite();
  if (socket_->fd() == watched_fd_ && writing == watching_write_) return;
  watched_fd_ = socket_->fd();
  watching_write_ = writing;
  poller_.Watch(watched_fd_, this, writing);
}

bool MqttLink::IsInFlight(uint64_t boot, uint64_t seq) const {
  return std::any_of(in_flight_.begin(), in_flight_.end(),
                     [=](const InFlight& one) { return one.boot == boot && one.seq == seq; });
}

bool MqttLink::CanSend() const {
  return up_ && in_flight_.size() < receive_maximum_ && out_.size() - out_done_ < kMostOutBytes;
}

bool MqttLink::NextId(uint16_t& id) {
  const uint16_t candidate = next_id_;
  // Ids are given in a circle, so that the first to be met again is the oldest that is still out.
  const bool taken = (!in_flight_.empty() && in_flight_.front().id == candidate) ||
                     (!carried_.empty() && carried_.front().id == candidate);
  if (taken) return false;
  id = candidate;
  next_id_ = candidate + 1 == kSubscribeId ? 1 : static_cast<uint16_t>(candidate + 1);
  return true;
}

bool MqttLink::Send(const OpenEvent& event) {
  if (!CanSend()) return false;
  const auto key = std::tie(event.boot, event.seq);
  while (!carried_.empty() && std::tie(carried_.front().boot, carried_.front().seq) < key) carried_.pop_front();
  InFlight one{0, event.boot, event.seq};
  const bool again = !carried_.empty() && std::tie(carried_.front().boot, carried_.front().seq) == key;
  if (again) {
    one.id = carried_.front().id;
    carried_.pop_front();
    listener_.OnDup();
  } else if (!NextId(one.id)) {
    return false;
  }
  topic_ = topic_prefix_;
  topic_ += KindName(event.kind);
  AppendPublish(options_.version, one.id, again, topic_, event.body, out_);
  in_flight_.push_back(one);
  return true;
}

void MqttLink::EndBurst() {
  if (socket_ == nullptr) return;
  if (const absl::Status status = Flush(); !status.ok()) return Drop(MessageOf(status));
  Watch();
}

absl::Status MqttLink::Flush() {
  while (out_done_ < out_.size()) {
    ASSIGN_OR_RETURN(const size_t count, socket_->Write(std::string_view(out_).substr(out_done_)));
    if (count == 0) return absl::OkStatus();
    out_done_ += count;
    sent_at_us_ = now_us_;
  }
  out_.clear();
  out_done_ = 0;
  return absl::OkStatus();
}

void MqttLink::OnReady(bool readable, bool writable) {
  if (socket_ == nullptr) return;
  if (const absl::Status status = Work(readable, writable); !status.ok()) return Drop(MessageOf(status));
  Watch();
}

absl::Status MqttLink::Work(bool readable, bool writable) {
  if (!open_) {
    ASSIGN_OR_RETURN(open_, socket_->Advance());
    if (!open_) return absl::OkStatus();
    AppendConnectPacket();
    heard_at_us_ = now_us_;
    return Flush();
  }
  if (readable) RETURN_IF_ERROR(Read());
  // What Read answers goes out with it.
  return readable || writable ? Flush() : absl::OkStatus();
}

absl::Status MqttLink::Read() {
  char chunk[64 << 10];
  for (;;) {
    ASSIGN_OR_RETURN(const size_t count, socket_->Read(chunk, sizeof chunk));
    if (count == 0) return absl::OkStatus();
    heard_at_us_ = now_us_;
    std::string_view bytes(chunk, count);
    if (!in_.empty()) {
      in_.append(bytes);
      bytes = in_;
    }
    ServerPacket packet;
    for (;;) {
      ASSIGN_OR_RETURN(const size_t taken, ParseServerPacket(options_.version, bytes, packet));
      if (taken == 0) break;
      RETURN_IF_ERROR(Take(packet));
      bytes.remove_prefix(taken);
    }
    if (in_.empty()) {
      in_.assign(bytes);
    } else {
      in_.erase(0, in_.size() - bytes.size());
    }
  }
}

absl::Status MqttLink::Take(const ServerPacket& packet) {
  using Type = ServerPacket::Type;
  if (!up_ && packet.type == Type::kConnack) return TakeConnack(packet);
  switch (packet.type) {
    case Type::kSuback:
      if (packet.reason >= kMqttFailure) {
        return absl::PermissionDeniedError(StrCat("the server refused the subscription to ", topic_prefix_, "ack"));
      }
      if (!up_) Up();
      return absl::OkStatus();
    case Type::kPuback:
      TakePuback(packet);
      // Quota exceeded means: later. What is open goes again, in order, in a new connection.
      if (packet.reason != kMqttQuotaExceeded) return absl::OkStatus();
      return absl::ResourceExhaustedError(StrCat("the server refused an event: ", MqttReasonText(options_.version, packet)));
    case Type::kPublish:
      listener_.OnReceipt(ParseReceipt(packet.payload));
      if (packet.qos > 0) AppendPuback(packet.id, out_);
      return absl::OkStatus();
    case Type::kPingresp: ping_at_us_ = 0; return absl::OkStatus();
    case Type::kDisconnect:
      return absl::UnavailableError(StrCat("the server ended the connection: ", MqttReasonText(options_.version, packet)));
    case Type::kConnack: break;
  }
  return absl::InvalidArgumentError("the server sent a second CONNACK");
}

absl::Status MqttLink::TakeConnack(const ServerPacket& packet) {
  if (packet.reason != 0) {
    return absl::PermissionDeniedError(
        StrCat("the server refused the connection: ", MqttReasonText(options_.version, packet)));
  }
  receive_maximum_ = packet.receive_maximum;
  keepalive_us_ = int64_t{packet.server_keepalive_s > 0 ? packet.server_keepalive_s : options_.keepalive_s} * 1'000'000;
  if (!packet.session_present && !options_.dup_always) carried_.clear();
  if (!options_.receipts) {
    Up();
  } else {
    // No event before the subscription stands: a receipt that nobody hears would cost a resend.
    AppendSubscribe(options_.version, kSubscribeId, topic_prefix_ + "ack", out_);
  }
  return absl::OkStatus();
}

void MqttLink::TakePuback(const ServerPacket& packet) {
  // Servers acknowledge in order (4.6), so the first is nearly always the one.
  const auto found = std::find_if(in_flight_.begin(), in_flight_.end(),
                                  [&packet](const InFlight& one) { return one.id == packet.id; });
  if (found == in_flight_.end()) return;
  const InFlight one = *found;
  in_flight_.erase(found);
  if (packet.reason >= kMqttFailure) {
    listener_.OnServerRefusal(one.boot, one.seq, packet.reason, MqttReasonText(options_.version, packet));
  } else if (packet.reason == kMqttNoMatchingSubscribers && !IsInFlight(one.boot, one.seq)) {
    listener_.OnUnheard(one.boot, one.seq);
  } else {
    listener_.OnPuback(one.boot, one.seq);
  }
}

void MqttLink::Up() {
  up_ = true;
  backoff_.Reset();
  listener_.OnUp();
}

absl::Status MqttLink::KeepAlive(int64_t now_us) {
  if (!up_) {
    return now_us - connecting_since_us_ < kConnectPatienceUs ? absl::OkStatus()
                                                              : absl::DeadlineExceededError("the server does not answer");
  }
  if (keepalive_us_ == 0) return absl::OkStatus();
  if (ping_at_us_ > 0) {
    return now_us - ping_at_us_ < keepalive_us_ ? absl::OkStatus() : absl::DeadlineExceededError("no answer to a ping");
  }
  // A second early, for the server's patience counts from what it has read.
  constexpr int64_t kEarlyUs = 1'000'000;
  if (now_us - std::min(sent_at_us_, heard_at_us_) < std::max(keepalive_us_ - kEarlyUs, keepalive_us_ / 2)) return absl::OkStatus();
  AppendPingreq(out_);
  ping_at_us_ = now_us;
  return Flush();
}

void MqttLink::Tick(int64_t now_us) {
  now_us_ = now_us;
  if (socket_ == nullptr) {
    if (connect_at_us_ < 0) connect_at_us_ = now_us + backoff_.NextMs() * 1000;
    if (now_us < connect_at_us_) return;
    if (const absl::Status status = Connect(); !status.ok()) return Drop(MessageOf(status));
  } else if (const absl::Status status = KeepAlive(now_us); !status.ok()) {
    return Drop(MessageOf(status));
  }
  Watch();
}

void MqttLink::Close() {
  if (socket_ == nullptr) return;
  if (open_ && options_.version == MqttVersion::k5) AppendDisconnectWithWill(out_);
  if (open_) Flush().IgnoreError();
  if (watched_fd_ >= 0) poller_.Forget(watched_fd_);
  watched_fd_ = -1;
  socket_.reset();
  up_ = open_ = false;
}

}  // namespace sluice::sim
