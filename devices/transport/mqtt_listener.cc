// Life, files, mail and time of the listener.
#include "devices/transport/mqtt_listener.h"

#include <algorithm>
#include <asio/ip/v6_only.hpp>
#include <asio/post.hpp>
#include <chrono>
#include <future>

#include "base/status.h"
#include "devices/transport/mqtt_listener_address.h"
#include "devices/transport/mqtt_listener_impl.h"

namespace sluice::transport {
namespace {

using asio::ip::tcp;

constexpr int kBacklog = 1024;   // the kernel keeps a storm for us, as far as its somaxconn allows
constexpr auto kListenAgain = std::chrono::seconds(2);
constexpr auto kStopPatience = std::chrono::seconds(1);
constexpr int64_t kLookAtStuckMs = 500;
// Of the kernel, for each connection. More would let a client that we pause hold megabytes.
constexpr int kReceiveBytes = 128 << 10;

}  // namespace

std::unique_ptr<MqttListener> MakeMqttListener(MqttListenerOptions options, MqttListenerHandler& handler, const Clock& clock,
                                               Random& random) {
  return std::make_unique<MqttListenerImpl>(std::move(options), handler, clock, random);
}

MqttListenerImpl::MqttListenerImpl(MqttListenerOptions options, MqttListenerHandler& handler, const Clock& clock,
                                   Random& random)
    : options_(std::move(options)),
      handler_(handler),
      clock_(clock),
      work_(asio::make_work_guard(context_)),
      acceptor_(context_),
      accept_timer_(context_),
      timer_(context_),
      answers_(std::make_shared<MqttAnswers>([this] { asio::post(context_, [this] { OnMail(); }); })),
      gate_(options_.connections),
      sessions_(MakeMqttSessions(options_.sessions, *this, random)),
      authenticator_(options_.password_file, options_.failures, options_.verifications, options_.look_every_ms, random,
                     {.verified =
                          [this](uint64_t id, MqttAdmission admission) {
                            answers_->Run([this, id, admission = std::move(admission)] { OnVerified(id, admission); });
                          },
                      .passwords_changed = [this] { answers_->Run([this] { OnPasswordsChanged(); }); },
                      .look = [this] { LookAtCertificates(); }}) {}

MqttListenerImpl::~MqttListenerImpl() { Stop(); }

absl::Status MqttListenerImpl::Start() {
  RETURN_IF_ERROR(CheckMqttListenerOptions(options_));
  authenticator_.Start();
  ListenOrRetry();
  const std::lock_guard lock(life_mutex_);
  running_ = true;
  thread_ = std::thread([this] { context_.run(); });
  return absl::OkStatus();
}

void MqttListenerImpl::ListenOrRetry() {
  const absl::Status status = Listen();
  if (status.ok()) return;
  state_ = MqttListenerStatus::State::kWaiting;
  detail_ = std::string(MessageOf(status));
  accept_timer_.expires_after(kListenAgain);
  accept_timer_.async_wait([this](std::error_code error) {
    if (!error && !stopping_) ListenOrRetry();
  });
}

absl::Status MqttListenerImpl::Listen() {
  const bool tls = !options_.tls.certificate_file.empty();
  if (tls) {
    const std::lock_guard lock(files_mutex_);
    if (tls_ == nullptr) {
      TlsServerOptions server = options_.tls;
      // Where there is no other way in, a client without a certificate is turned away before it can say anything.
      server.client_certificate_required = !server.client_ca_file.empty() && options_.password_file.empty();
      ASSIGN_OR_RETURN(tls_, TlsServer::Load(std::move(server), clock_));
    }
  }
  ASSIGN_OR_RETURN(const ListenAddress address, ParseListenAddress(options_.bind));
  const tcp::endpoint endpoint(asio::ip::make_address(address.host), address.port);
  std::error_code error, ignored;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), ignored);
  if (!error) acceptor_.set_option(asio::socket_base::receive_buffer_size(kReceiveBytes), ignored);   // inherited
  if (!error && endpoint.protocol() == tcp::v6()) acceptor_.set_option(asio::ip::v6_only(false), ignored);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(kBacklog, error);
  if (!error) acceptor_.native_non_blocking(true, error);
  if (error) {
    acceptor_.close(ignored);
    return absl::UnavailableError(StrCat("listen on ", options_.bind, ": ", error.message()));
  }
  port_.store(acceptor_.local_endpoint(ignored).port());
  state_ = MqttListenerStatus::State::kListening;
  detail_ = StrCat(options_.bind, tls ? ", TLS" : ", plain TCP");
  AwaitAccept();
  return absl::OkStatus();
}

void MqttListenerImpl::LookAtCertificates() {
  std::shared_ptr<TlsServer> tls;
  {
    const std::lock_guard lock(files_mutex_);
    tls = tls_;
  }
  if (tls == nullptr) return;
  const absl::StatusOr<bool> loaded = tls->Reload();
  if (loaded.ok() && !*loaded) return;
  const std::lock_guard lock(files_mutex_);
  files_trouble_ = loaded.ok() ? "" : StrCat("what was read before stays in use: ", MessageOf(loaded.status()));
}

void MqttListenerImpl::Stop() {
  {
    const std::lock_guard lock(life_mutex_);
    if (!std::exchange(running_, false)) return;
  }
  authenticator_.Stop();
  std::promise<void> empty;
  asio::post(context_, [this, &empty] {
    on_empty_ = [&empty] { empty.set_value(); };
    BeginStop();
  });
  empty.get_future().wait();
  answers_->Close();
  context_.stop();
  thread_.join();
  port_.store(0);
  state_ = MqttListenerStatus::State::kClosed;
  detail_ = "stopped";
  const std::lock_guard lock(life_mutex_);
  last_ = Look(false);
}

void MqttListenerImpl::BeginStop() {
  stopping_ = true;
  std::error_code ignored;
  acceptor_.close(ignored);
  OnMail();   // what is safe by now is acknowledged
  sessions_->Shutdown(NowMs());
  for (const Handle& connection : All()) {
    if (connection->mqtt == nullptr) Close(connection, "the server is shutting down");
  }
  accept_timer_.expires_after(kStopPatience);
  accept_timer_.async_wait([this](std::error_code error) {
    if (error) return;
    for (const Handle& connection : All()) Close(connection, "the server is shutting down");
  });
  Settle();
  if (connections_.empty() && on_empty_) std::exchange(on_empty_, nullptr)();
}

void MqttListenerImpl::OnMail() {
  answers_->Take(&mail_);
  const int64_t now_ms = NowMs();
  for (const uint64_t token : mail_.safe) sessions_->Safe(token, now_ms);
  for (const uint64_t token : mail_.lost) sessions_->Lost(token, now_ms);
  if (mail_.room) sessions_->Resume(now_ms);
  for (const MqttAnswers::Message& message : mail_.messages) {
    sessions_->Deliver(message.device, {.topic = message.topic, .payload = message.payload}, now_ms);
  }
  for (const auto& task : mail_.tasks) task();
  Settle();
}

void MqttListenerImpl::OnTimer() {
  const int64_t now_ms = NowMs();
  timer_at_ms_ = INT64_MAX;
  sessions_->Tick(now_ms);
  const auto next_late = [now_ms](auto& deadlines) -> Handle {
    while (!deadlines.empty() && deadlines.front().first <= now_ms) {
      const Handle connection = deadlines.front().second.lock();
      deadlines.pop_front();
      if (connection != nullptr && !connection->gone) return connection;
    }
    return nullptr;
  };
  while (const Handle connection = next_late(handshakes_)) {
    if (connection->phase != Phase::kHandshake) continue;
    NoteRefused(refusals_.handshake_timeout, connection->address, "the TLS handshake takes too long");
    Close(connection, "the TLS handshake takes too long");
  }
  while (const Handle connection = next_late(lingering_)) Close(connection, "");
  std::erase_if(stuck_, [&](const std::weak_ptr<Connection>& weak) {
    const Handle connection = weak.lock();
    if (connection == nullptr || connection->gone || connection->stuck_since_ms == 0) return true;
    if (now_ms - connection->stuck_since_ms < options_.write_timeout_ms) return false;
    ++refusals_.slow_reader;
    Close(connection, "the client does not read what it is sent");
    return true;
  });
  Settle();
}

void MqttListenerImpl::Settle() {
  while (!admissions_.empty() || !dirty_.empty()) {
    for (const auto& [id, admission] : std::exchange(admissions_, {})) {
      if (const Handle connection = Find(id)) Admit(connection, admission);
    }
    for (const Handle& connection : std::exchange(dirty_, {})) {
      connection->dirty = false;
      Flush(connection);
    }
  }
  EndTurn();
  ArmTimer();
}

MqttVerdict MqttListenerImpl::Publish(uint64_t token, const MqttPublication& publication) {
  const int64_t began_us = clock_.MonotonicUs();
  MqttVerdict verdict = handler_.Publish(token, publication);
  turn_us_ += clock_.MonotonicUs() - began_us;
  return verdict;
}

// Once the handler took long, no connection's publishes are handed up before the next turn, which comes behind all that is ready
// by now: a client that sends many does not make the others wait for more than one or two that take long.
void MqttListenerImpl::EndTurn() {
  if (!TurnIsOver()) {
    turn_us_ = 0;
  } else if (!std::exchange(next_turn_, true)) {
    asio::post(context_, [this] {
      next_turn_ = false;
      turn_us_ = 0;
      sessions_->Resume(NowMs());
      Settle();
    });
  }
}

void MqttListenerImpl::ArmTimer() {
  int64_t at_ms = sessions_->next_tick_ms();
  for (const auto* deadlines : {&handshakes_, &lingering_}) {
    if (!deadlines->empty()) at_ms = std::min(at_ms, deadlines->front().first);
  }
  if (!stuck_.empty()) at_ms = std::min(at_ms, NowMs() + kLookAtStuckMs);
  if (at_ms >= timer_at_ms_) return;   // it fires earlier anyhow, and is armed anew then
  timer_at_ms_ = at_ms;
  timer_.expires_after(std::chrono::milliseconds(std::max<int64_t>(at_ms - NowMs(), 1)));
  timer_.async_wait([this](std::error_code error) {
    if (!error) OnTimer();
  });
}

std::vector<MqttListenerImpl::Handle> MqttListenerImpl::All() const {
  std::vector<Handle> all;
  all.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) all.push_back(connection);
  return all;
}

MqttListenerStatus MqttListenerImpl::status(bool with_connections) const {
  const std::lock_guard lock(life_mutex_);
  if (!running_) return last_;
  std::promise<MqttListenerStatus> seen;
  asio::post(context_, [&] { seen.set_value(Look(with_connections)); });
  return seen.get_future().get();
}

MqttListenerStatus MqttListenerImpl::Look(bool with_connections) const {
  MqttListenerStatus status;
  status.state = state_;
  status.detail = detail_;
  status.trouble = authenticator_.trouble();
  {
    const std::lock_guard lock(files_mutex_);
    if (!files_trouble_.empty()) status.trouble += StrCat(status.trouble.empty() ? "" : "; ", files_trouble_);
  }
  status.open = gate_.open();
  status.half_open = gate_.half_open();
  status.refusals = refusals_;
  status.last_refused = last_refused_;
  status.accepted = accepted_;
  status.scrypts = scrypts_;
  status.remembered = remembered_;
  status.sessions = sessions_->figures();
  if (with_connections) status.connections = sessions_->connections();
  return status;
}

}  // namespace sluice::transport
