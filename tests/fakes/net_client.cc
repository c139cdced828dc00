#include "tests/fakes/net_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <utility>

namespace sluice::fakes {
namespace {

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> Memory(const std::string& text) { return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string SslError(const char* what) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return std::string(what) + ": " + (reason == nullptr ? "closed" : reason);
}

}  // namespace

struct NetClient::State {
  int fd = -1;
  int receive_buffer = 0;
  std::string error;
  Owned<SSL_CTX> context;
  Owned<SSL_SESSION> session;   // the newest ticket
  Owned<SSL> ssl;
  std::chrono::steady_clock::time_point deadline;

  ~State() {
    ssl.reset();
    if (fd >= 0) close(fd);
  }
  void Begin(int limit_ms) { deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms); }
  bool Wait(short events) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd wait{fd, events, 0};
    if (left <= 0 || poll(&wait, 1, static_cast<int>(left)) <= 0) {
      error = "time is over";
      return false;
    }
    return true;
  }
  // Of an SSL call that did not succeed: true, it may be tried again.
  bool WaitForSsl(int result, const char* what) {
    switch (SSL_get_error(ssl.get(), result)) {
      case SSL_ERROR_WANT_READ: return Wait(POLLIN);
      case SSL_ERROR_WANT_WRITE: return Wait(POLLOUT);
      default: error = SslError(what); return false;
    }
  }
};

NetClient::NetClient() : state_(std::make_unique<State>()) {
  std::signal(SIGPIPE, SIG_IGN);   // OpenSSL writes to sockets without MSG_NOSIGNAL
}
NetClient::~NetClient() = default;
NetClient::NetClient(NetClient&&) noexcept = default;
NetClient& NetClient::operator=(NetClient&&) noexcept = default;

bool NetClient::Connect(uint16_t port, const std::string& from) {
  state_->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (state_->receive_buffer > 0) {
    setsockopt(state_->fd, SOL_SOCKET, SO_RCVBUF, &state_->receive_buffer, sizeof state_->receive_buffer);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (!from.empty()) {
    inet_pton(AF_INET, from.c_str(), &address.sin_addr);
    if (bind(state_->fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      state_->error = std::strerror(errno);
      return false;
    }
  }
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(state_->fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    state_->error = std::strerror(errno);
    return false;
  }
  fcntl(state_->fd, F_SETFL, fcntl(state_->fd, F_GETFL) | O_NONBLOCK);
  return true;
}

void NetClient::Adopt(int fd) {
  state_->fd = fd;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

bool NetClient::StartTls(const TlsClientOptions& options, const NetClient* again) {
  State& s = *state_;
  s.context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = s.context.get();
  if (options.min_version != 0) SSL_CTX_set_min_proto_version(context, options.min_version);
  if (options.max_version != 0) SSL_CTX_set_max_proto_version(context, options.max_version);
  if (!options.ciphers.empty()) SSL_CTX_set_cipher_list(context, options.ciphers.c_str());
  const Owned<BIO> authorities = Memory(options.ca_pem);
  while (X509* authority = PEM_read_bio_X509(authorities.get(), nullptr, nullptr, nullptr)) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority);
    X509_free(authority);
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (!options.certificate_pem.empty()) {
    const Owned<BIO> chain = Memory(options.certificate_pem);
    bool first = true;
    while (X509* certificate = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)) {
      if (std::exchange(first, false)) {
        SSL_CTX_use_certificate(context, certificate);
      } else {
        SSL_CTX_add1_chain_cert(context, certificate);
      }
      X509_free(certificate);
    }
    const Owned<BIO> pem = Memory(options.key_pem);
    const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(pem.get(), nullptr, nullptr, nullptr));
    SSL_CTX_use_PrivateKey(context, key.get());
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_ex_data(context, 0, &s);
  SSL_CTX_sess_set_new_cb(context, [](SSL* ssl, SSL_SESSION* session) {
    static_cast<State*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0))->session.reset(session);
    return 1;
  });
  ERR_clear_error();
  s.ssl.reset(SSL_new(context));
  SSL_set_fd(s.ssl.get(), s.fd);
  if (again != nullptr && again->state_->session != nullptr) SSL_set_session(s.ssl.get(), again->state_->session.get());
  X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s.ssl.get()), "127.0.0.1");
  s.Begin(kLimitMs);
  for (;;) {
    ERR_clear_error();
    const int result = SSL_connect(s.ssl.get());
    if (result == 1) return true;
    if (!s.WaitForSsl(result, "handshake")) return false;
  }
}

bool NetClient::resumed() const { return SSL_session_reused(state_->ssl.get()) == 1; }

std::string NetClient::peer_common_name() const {
  X509* const certificate = SSL_get0_peer_certificate(state_->ssl.get());
  char name[256] = "";
  if (certificate != nullptr) X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  return name;
}

bool NetClient::Send(std::string_view bytes) {
  State& s = *state_;
  s.Begin(kLimitMs);
  while (!bytes.empty()) {
    if (s.ssl != nullptr) {
      ERR_clear_error();
      const int put = SSL_write(s.ssl.get(), bytes.data(), static_cast<int>(bytes.size()));
      if (put <= 0 && !s.WaitForSsl(put, "write")) return false;
      if (put > 0) bytes.remove_prefix(static_cast<size_t>(put));
      continue;
    }
    const ssize_t put = send(s.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put > 0) bytes.remove_prefix(static_cast<size_t>(put));
    if (put < 0 && errno != EAGAIN) {
      s.error = std::strerror(errno);
      return false;
    }
    if (put < 0 && !s.Wait(POLLOUT)) return false;
  }
  return true;
}

std::string NetClient::Receive(int limit_ms) {
  State& s = *state_;
  s.Begin(limit_ms);
  char block[16384];
  for (;;) {
    if (s.ssl != nullptr) {
      ERR_clear_error();
      const int got = SSL_read(s.ssl.get(), block, sizeof block);
      if (got > 0) return {block, static_cast<size_t>(got)};
      if (!s.WaitForSsl(got, "read")) return "";
      continue;
    }
    const ssize_t got = recv(s.fd, block, sizeof block, 0);
    if (got > 0) return {block, static_cast<size_t>(got)};
    if (got == 0 || errno != EAGAIN) {
      s.error = got == 0 ? "closed" : std::strerror(errno);
      return "";
    }
    if (!s.Wait(POLLIN)) return "";
  }
}

bool NetClient::Silent(int ms) {
  if (state_->ssl != nullptr && SSL_pending(state_->ssl.get()) > 0) return false;
  pollfd wait{state_->fd, POLLIN, 0};
  return poll(&wait, 1, ms) == 0;
}

bool NetClient::ReceiveToEnd(std::string* bytes) {
  for (;;) {
    const std::string more = Receive();
    if (more.empty()) return state_->error != "time is over";
    if (bytes != nullptr) *bytes += more;
  }
}

void NetClient::Close() {
  if (state_->ssl != nullptr) SSL_shutdown(state_->ssl.get());
  ERR_clear_error();
  state_->ssl.reset();
  if (state_->fd >= 0) close(std::exchange(state_->fd, -1));
}

void NetClient::Reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(state_->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  state_->ssl.reset();
  close(std::exchange(state_->fd, -1));
}

void NetClient::SetReceiveBuffer(int bytes) { state_->receive_buffer = bytes; }
int NetClient::fd() const { return state_->fd; }
const std::string& NetClient::error() const { return state_->error; }

}  // namespace sluice::fakes
