// From the port to a device that is served: accepting, limits, who it is.
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/status.h"
#include "devices/transport/mqtt_listener_impl.h"

namespace sluice::transport {
namespace {

using asio::ip::tcp;

constexpr int kAcceptsAtOnce = 16;
constexpr int64_t kNoDescriptorsMs = 500;
constexpr int kSendBytes = 32 << 10;   // of the kernel: acknowledgements are small

// Finds a client that is gone without a word also where it asked for no keep alive: after 60 s + 4 × 15 s.
void SetOptions(int fd) {
  const auto set = [fd](int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_SNDBUF, kSendBytes);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 15);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
}

std::string KeyOf(const sockaddr_storage& from) {
  if (from.ss_family == AF_INET6) {
    return AddressKey(reinterpret_cast<const sockaddr_in6&>(from).sin6_addr.s6_addr, 16);
  }
  return AddressKey(reinterpret_cast<const uint8_t*>(&reinterpret_cast<const sockaddr_in&>(from).sin_addr), 4);
}

}  // namespace

// While they come too fast, those that wait are the kernel's.
void MqttListenerImpl::AwaitAccept() {
  if (awaits_accept_ || accept_paused_ || stopping_ || !acceptor_.is_open()) return;
  const int64_t now_ms = NowMs();
  const int64_t next_ms = gate_.NextAcceptMs(now_ms);
  if (next_ms > now_ms) return PauseAccept(next_ms - now_ms);
  awaits_accept_ = true;
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](std::error_code error) {
    awaits_accept_ = false;
    if (!error && !stopping_) OnAcceptable();
  });
}

void MqttListenerImpl::PauseAccept(int64_t ms) {
  accept_paused_ = true;
  accept_timer_.expires_after(std::chrono::milliseconds(ms));
  accept_timer_.async_wait([this](std::error_code error) {
    accept_paused_ = false;
    if (!error) AwaitAccept();
  });
}

void MqttListenerImpl::OnAcceptable() {
  for (int i = 0; i < kAcceptsAtOnce && gate_.NextAcceptMs(NowMs()) <= NowMs(); ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    UniqueFd fd(accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        ++refusals_.no_descriptors;
        PauseAccept(kNoDescriptorsMs);
      }
      if (errno != ECONNABORTED && errno != EINTR) break;
      continue;
    }
    std::string address = KeyOf(from);
    switch (gate_.Admit(next_id_, address, NowMs())) {
      case Admission::kTooMany: NoteRefused(refusals_.too_many, address, "too many connections"); break;
      case Admission::kTooManyFromAddress:
        NoteRefused(refusals_.too_many_from_address, address, "too many connections from this address");
        break;
      case Admission::kTooManyHalfOpenFromAddress:
        NoteRefused(refusals_.half_open_from_address, address, "too many half-open connections from this address");
        break;
      case Admission::kTooFastFromAddress:
        NoteRefused(refusals_.too_fast_from_address, address, "connections from this address come too fast");
        break;
      case Admission::kYes:
        Adopt(std::move(fd), std::move(address));
        EvictHalfOpen();
        break;
    }
  }
  AwaitAccept();
  Settle();
}

void MqttListenerImpl::Adopt(UniqueFd fd, std::string address) {
  ++accepted_;
  SetOptions(fd.get());
  const auto connection = std::make_shared<Connection>(context_, next_id_++, std::move(address));
  connections_[connection->id] = connection;
  std::error_code error;
  connection->socket.assign(acceptor_.local_endpoint(error).protocol(), fd.get(), error);
  if (error) return Close(connection, error.message());
  const int socket = fd.Release();
  std::shared_ptr<TlsServer> tls;
  {
    const std::lock_guard lock(files_mutex_);
    tls = tls_;
  }
  if (tls == nullptr) {
    connection->stream = MakePlainStream(socket, buffers_);
    return OpenSession(connection);
  }
  connection->stream = tls->Accept(socket, buffers_);
  handshakes_.emplace_back(NowMs() + options_.handshake_timeout_ms, connection);
  GoOnWithHandshake(connection);
}

void MqttListenerImpl::EvictHalfOpen() {
  while (const uint64_t id = gate_.ToEvict()) {
    const Handle oldest = Find(id);
    NoteRefused(refusals_.half_open_evicted, oldest->address, "said nothing useful while others wanted to come in");
    Close(oldest, "too many half-open connections");
  }
}

void MqttListenerImpl::OpenSession(const Handle& connection) {
  if (x509_st* const certificate = connection->stream->peer_certificate()) {
    absl::StatusOr<std::string> device = DeviceOfCertificate(options_.certificate_name, certificate);
    if (!device.ok()) {
      NoteRefused(refusals_.certificate_name, connection->address, MessageOf(device.status()));
      return Close(connection, MessageOf(device.status()));
    }
    connection->certificate_device = *std::move(device);
  }
  connection->phase = Phase::kConnect;
  connection->mqtt = sessions_->Open(connection->id, NowMs());
  ReadSome(connection);
}

void MqttListenerImpl::Authenticate(MqttConnection& mqtt, const MqttCredentials& credentials) {
  const Handle connection = Find(mqtt.id());
  if (connection == nullptr) return;
  connection->phase = Phase::kVerify;
  auto admission =
      authenticator_.Ask(connection->id, connection->address, connection->certificate_device, credentials, NowMs());
  if (admission) admissions_.emplace_back(connection->id, *std::move(admission));
}

void MqttListenerImpl::OnVerified(uint64_t id, const MqttAdmission& admission) {
  ++scrypts_;
  const Handle connection = Find(id);
  if (connection == nullptr) return;   // it did not wait, which is no wrong password
  authenticator_.Note(connection->address, admission, NowMs());
  Admit(connection, admission);
}

void MqttListenerImpl::Admit(const Handle& connection, const MqttAdmission& admission) {
  if (connection->gone || connection->phase != Phase::kVerify) return;
  const int64_t now_ms = NowMs();
  const auto refuse = [&](uint64_t& counter, MqttReason reason, std::string_view why) {
    NoteRefused(counter, connection->address, why.empty() ? MqttReasonName(reason) : why);
    connection->mqtt->AuthenticationRefused(reason, why, now_ms);
  };
  switch (admission.result) {
    case MqttAdmission::Result::kNoCredentials:
      return refuse(refusals_.no_credentials, MqttReason::kNotAuthorized,
                    options_.password_file.empty() ? "a client certificate is needed"
                    : options_.tls.client_ca_file.empty() ? "a user name and a password are needed"
                                                          : "a client certificate, or a user name and a password, is needed");
    case MqttAdmission::Result::kWrongPassword:
      return refuse(refusals_.wrong_password, MqttReason::kBadUserNameOrPassword, "");
    case MqttAdmission::Result::kBackOff:
      return refuse(refusals_.back_off, MqttReason::kServerBusy, "too many wrong passwords for this name: try later");
    case MqttAdmission::Result::kYes: break;
  }
  if (admission.remembered) ++remembered_;
  connection->mqtt->Authenticated(IdentityOfDevice(admission.device, options_.topics, admission.password_line), now_ms);
  if (connection->mqtt->closing()) return;   // refused for another reason
  connection->phase = Phase::kServing;
  EndHalfOpen(*connection);
}

// Who came in by a line that is gone or another one now has no part in what comes under the name later: neither its will nor
// its session nor what it retained.
void MqttListenerImpl::OnPasswordsChanged() {
  const auto forget = [this](bool removed, std::string_view why) {
    sessions_->Forget(
        [&](const MqttIdentity& it) {
          if (it.credential == 0) return false;   // a certificate's
          const uint64_t line = authenticator_.LineOf(it.device);
          return line != it.credential && (line == 0) == removed;
        },
        MqttReason::kNotAuthorized, why, NowMs());
  };
  forget(true, "the device was removed");
  forget(false, "the password was changed");
}

void MqttListenerImpl::NoteRefused(uint64_t& counter, const std::string& address, std::string_view why) {
  ++counter;
  last_refused_ = StrCat(address, ": ", why);
}

void MqttListenerImpl::EndHalfOpen(Connection& connection) {
  if (!std::exchange(connection.half_open, false)) return;
  gate_.Settled(connection.id, connection.address);
}

}  // namespace sluice::transport
