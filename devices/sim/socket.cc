#include "devices/sim/socket.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "base/status.h"

namespace sluice::sim {
namespace {

absl::Status SystemError(std::string_view what, int error) {
  return absl::UnavailableError(StrCat(what, ": ", std::strerror(error)));
}

// The newest error of OpenSSL's queue, which is emptied.
std::string TlsError() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  return text == nullptr ? "unknown error" : text;
}

}  // namespace

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContext::Make(const std::string& ca, const std::string& certificate,
                                                             const std::string& key) {
  SSL_CTX* const raw = SSL_CTX_new(TLS_client_method());
  if (raw == nullptr) return absl::InternalError(StrCat("TLS: ", TlsError()));
  std::shared_ptr<TlsContext> context(new TlsContext(raw));
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  // A write that was not taken whole is tried again from where the buffer then lies.
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  const auto failed = [](const std::string& file) { return absl::InvalidArgumentError(StrCat(file, ": ", TlsError())); };
  if (SSL_CTX_load_verify_file(raw, ca.c_str()) != 1) return failed(ca);
  if (certificate.empty()) return context;
  if (SSL_CTX_use_certificate_chain_file(raw, certificate.c_str()) != 1) return failed(certificate);
  if (SSL_CTX_use_PrivateKey_file(raw, key.c_str(), SSL_FILETYPE_PEM) != 1) return failed(key);
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

absl::StatusOr<std::unique_ptr<Socket>> Socket::Connect(const std::string& host, int port,
                                                        std::shared_ptr<TlsContext> tls) {
  std::unique_ptr<Socket> connection(new Socket(host));
  connection->tls_ = std::move(tls);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); code != 0) {
    return absl::UnavailableError(StrCat(host, ": ", gai_strerror(code)));
  }
  connection->addresses_.reset(found);
  connection->next_address_ = found;
  RETURN_IF_ERROR(connection->Begin());
  return connection;
}

Socket::~Socket() {
  if (ssl_ == nullptr) return;
  if (open_) SSL_shutdown(ssl_);
  ERR_clear_error();
  SSL_free(ssl_);
}

absl::Status Socket::Begin() {
  int error = ECONNREFUSED;
  for (; next_address_ != nullptr;) {
    const addrinfo& address = *next_address_;
    next_address_ = address.ai_next;
    fd_ = UniqueFd(socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_) return SystemError("socket", errno);
    const int on = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd_.get(), address.ai_addr, address.ai_addrlen) == 0 || errno == EINPROGRESS) return absl::OkStatus();
    error = errno;
  }
  return SystemError(StrCat("connecting to ", host_), error);
}

absl::Status Socket::BeginTls() {
  ssl_ = SSL_new(tls_->context_);
  if (ssl_ == nullptr || SSL_set_fd(ssl_, fd_.get()) != 1) return absl::InternalError(StrCat("TLS: ", TlsError()));
  SSL_set_connect_state(ssl_);
  in6_addr numeric{};
  const bool is_number = inet_pton(AF_INET, host_.c_str(), &numeric) == 1 || inet_pton(AF_INET6, host_.c_str(), &numeric) == 1;
  X509_VERIFY_PARAM* const check = SSL_get0_param(ssl_);
  const int set = is_number ? X509_VERIFY_PARAM_set1_ip_asc(check, host_.c_str())
                            : X509_VERIFY_PARAM_set1_host(check, host_.c_str(), host_.size());
  if (set != 1 || (!is_number && SSL_set_tlsext_host_name(ssl_, host_.c_str()) != 1)) {
    return absl::InternalError(StrCat("TLS: ", TlsError()));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Socket::Advance() {
  if (open_) return true;
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof error;
    sockaddr_storage peer{};
    socklen_t peer_size = sizeof peer;
    if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error == 0 && getpeername(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) return false;
    if (error != 0) {
      if (next_address_ == nullptr) return SystemError(StrCat("connecting to ", host_), error);
      RETURN_IF_ERROR(Begin());
      return false;
    }
    connected_ = true;
    if (tls_ == nullptr) {
      open_ = true;
      wants_write_ = false;
      return true;
    }
    RETURN_IF_ERROR(BeginTls());
  }
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) {
    RETURN_IF_ERROR(TlsResult(result, "TLS handshake").status());
    return false;
  }
  open_ = true;
  wants_write_ = false;
  return true;
}

// 0 where the call is to be tried again later.
absl::StatusOr<size_t> Socket::TlsResult(int result, std::string_view what) {
  const int saved = errno;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ: wants_write_ = false; return 0;
    case SSL_ERROR_WANT_WRITE: wants_write_ = true; return 0;
    case SSL_ERROR_ZERO_RETURN: return absl::UnavailableError("the connection was closed");
    case SSL_ERROR_SYSCALL:
      ERR_clear_error();
      return saved == 0 ? absl::UnavailableError("the connection was closed") : SystemError(what, saved);
    default: break;
  }
  const long verified = SSL_get_verify_result(ssl_);
  const std::string error = TlsError();
  return absl::UnavailableError(
      StrCat(what, ": ", verified == X509_V_OK ? error : std::string(X509_verify_cert_error_string(verified))));
}

absl::StatusOr<size_t> Socket::Write(std::string_view bytes) {
  if (ssl_ != nullptr) {
    const int count = SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), INT_MAX)));
    if (count <= 0) return TlsResult(count, "TLS");
    wants_write_ = static_cast<size_t>(count) < bytes.size();
    return static_cast<size_t>(count);
  }
  const ssize_t count = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (count < 0 && errno != EAGAIN && errno != EINTR) return SystemError("send", errno);
  const size_t taken = count < 0 ? 0 : static_cast<size_t>(count);
  wants_write_ = taken < bytes.size();
  return taken;
}

absl::StatusOr<size_t> Socket::Read(char* buffer, size_t size) {
  if (ssl_ != nullptr) {
    const int count = SSL_read(ssl_, buffer, static_cast<int>(std::min<size_t>(size, INT_MAX)));
    return count > 0 ? absl::StatusOr<size_t>(static_cast<size_t>(count)) : TlsResult(count, "TLS");
  }
  const ssize_t count = recv(fd_.get(), buffer, size, 0);
  if (count > 0) return static_cast<size_t>(count);
  if (count == 0) return absl::UnavailableError("the connection was closed");
  if (errno == EAGAIN || errno == EINTR) return 0;
  return SystemError("receive", errno);
}

}  // namespace sluice::sim
