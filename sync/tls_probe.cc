#include "sync/tls_probe.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>

#include "base/strings.h"
#include "base/unique_fd.h"
#include "sync/certificate_check.h"

namespace sluice::sync {
namespace {

constexpr std::array<unsigned char, 3> kHttp2 = {2, 'h', '2'};   // ALPN, RFC 7301: a length and the name
constexpr int kHandshakeFailure = 40, kIllegalParameter = 47, kAccessDenied = 49, kCertificateRequired = 116;   // RFC 8446, section 6.2

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> Memory(std::string_view text) { return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }
int NoPassword(char*, int, int, void*) { return -1; }

struct Target {
  std::string host, port;
};

std::optional<Target> TargetOf(std::string_view address) {
  for (const std::string_view scheme : {"dns:///", "dns:"}) {
    if (address.starts_with(scheme)) {
      address.remove_prefix(scheme.size());
      break;
    }
  }
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || address.find('/') != std::string_view::npos) return std::nullopt;
  std::string_view host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return Target{std::string(host), std::string(address.substr(colon + 1))};
}

// Of an alert that the peer sent: its number.
std::optional<int> Alert() {
  const int reason = ERR_GET_REASON(ERR_peek_last_error());
  if (ERR_GET_LIB(ERR_peek_last_error()) != ERR_LIB_SSL || reason < SSL_AD_REASON_OFFSET) return std::nullopt;
  return reason - SSL_AD_REASON_OFFSET;
}

// Those about a certificate that was asked for: bad, unsupported, revoked, expired, unknown, of an unknown CA, without access, missing.
bool IsAboutUs(int alert) {
  if (alert == kIllegalParameter) return false;
  return (alert >= kHandshakeFailure && alert <= kAccessDenied) || alert == kCertificateRequired;
}

class Handshake {
 public:
  Handshake(const TlsProbe& probe, int cancel_fd)
      : probe_(probe), cancel_fd_(cancel_fd), deadline_(Clock::now() + std::chrono::milliseconds(probe.timeout_ms)) {}

  // Nothing: it ended without a word when it had our certificate.
  std::optional<TlsVerdict> Run() {
    const std::optional<Target> target = TargetOf(probe_.address);
    if (!target || !Connect(*target) || !Prepare(target->host)) return TlsVerdict();
    int done;
    while ((done = SSL_connect(ssl_.get())) != 1 && Again(done)) {
    }
    if (done != 1) {
      if (const long why = SSL_get_verify_result(ssl_.get()); why != X509_V_OK) {
        return TlsVerdict{TlsVerdict::Kind::kTheirsNotBelieved,
                          StrCat("the cloud's certificate does not verify: ", X509_verify_cert_error_string(why))};
      }
      return End();
    }
    char first;
    while ((done = SSL_read(ssl_.get(), &first, 1)) != 1 && Again(done)) {
    }
    return done == 1 ? TlsVerdict() : End();
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool Wait(short events) {
    pollfd wait[] = {{.fd = socket_.get(), .events = events, .revents = 0}, {.fd = cancel_fd_, .events = POLLIN, .revents = 0}};
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
      if (left <= 0) return false;
      const int ready = poll(wait, 2, static_cast<int>(left));
      if (ready < 0 && errno == EINTR) continue;
      return ready > 0 && wait[1].revents == 0;
    }
  }

  bool Connect(const Target& target) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found) != 0) return false;
    const Owned<addrinfo> list(found);
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
      socket_ = UniqueFd(socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (!socket_) continue;
      if (connect(socket_.get(), at->ai_addr, at->ai_addrlen) == 0) return true;
      if (errno != EINPROGRESS || !Wait(POLLOUT)) continue;
      int error = 0;
      socklen_t size = sizeof error;
      if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) return true;
    }
    return false;
  }

  bool Prepare(const std::string& host) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (context_ == nullptr) return false;
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
    Owned<BIO> pem = Memory(probe_.credentials.authorities_pem);
    while (X509* one = PEM_read_bio_X509(pem.get(), nullptr, NoPassword, nullptr)) {
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), Owned<X509>(one).get());
    }
    pem = Memory(probe_.credentials.certificate_pem);
    const Owned<X509> own(PEM_read_bio_X509(pem.get(), nullptr, NoPassword, nullptr));
    if (own == nullptr || SSL_CTX_use_certificate(context_.get(), own.get()) != 1) return false;
    while (X509* next = PEM_read_bio_X509(pem.get(), nullptr, NoPassword, nullptr)) {
      SSL_CTX_add1_chain_cert(context_.get(), Owned<X509>(next).get());
    }
    pem = Memory(probe_.credentials.private_key_pem);
    const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(pem.get(), nullptr, NoPassword, nullptr));
    if (key == nullptr || SSL_CTX_use_PrivateKey(context_.get(), key.get()) != 1) return false;
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    // As gRPC does: an intermediate authority in the trust file is trusted by itself.
    X509_STORE_set_flags(SSL_CTX_get_cert_store(context_.get()), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
    // Called when the server asks for a certificate.
    SSL_CTX_set_cert_cb(context_.get(), [](SSL*, void* self) { return static_cast<Handshake*>(self)->asked_ = true, 1; }, this);
    ssl_.reset(SSL_new(context_.get()));
    ERR_clear_error();
    if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), socket_.get()) != 1) return false;
    SSL_set_alpn_protos(ssl_.get(), kHttp2.data(), kHttp2.size());
    const std::string& name = probe_.server_name.empty() ? host : probe_.server_name;
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), name.c_str()) != 1) {
      SSL_set1_host(ssl_.get(), name.c_str());
      SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
    }
    ERR_clear_error();
    return true;
  }

  bool Again(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ: timed_out_ = !Wait(POLLIN); return !timed_out_;
      case SSL_ERROR_WANT_WRITE: timed_out_ = !Wait(POLLOUT); return !timed_out_;
      default: return false;
    }
  }

  std::optional<TlsVerdict> End() {
    const std::optional<int> alert = Alert();
    ERR_clear_error();
    if (timed_out_ || !asked_) return TlsVerdict();
    if (!alert) return std::nullopt;
    if (!IsAboutUs(*alert)) return TlsVerdict();
    return TlsVerdict{TlsVerdict::Kind::kOursRefused,
                      StrCat("the cloud does not accept our certificate (alert: ", SSL_alert_desc_string_long(*alert), ")")};
  }

  const TlsProbe& probe_;
  const int cancel_fd_;
  const Clock::time_point deadline_;
  UniqueFd socket_;
  Owned<SSL_CTX> context_;
  Owned<SSL> ssl_;
  bool asked_ = false;       // for our certificate
  bool timed_out_ = false;   // or cancelled
};

}  // namespace

TlsVerdict ProbeTls(const TlsProbe& probe, int cancel_fd) {
  std::optional<TlsVerdict> verdict = Handshake(probe, cancel_fd).Run();
  if (!verdict) verdict = Handshake(probe, cancel_fd).Run();
  if (!verdict) {
    verdict = {TlsVerdict::Kind::kOursRefused,
               "the cloud does not accept our certificate (it ended the connection when it had seen it)"};
  }
  if (verdict->kind != TlsVerdict::Kind::kOursRefused) return *std::move(verdict);
  const std::string doubt =
      DoubtAbout(probe.credentials.certificate_pem, probe.credentials.authorities_pem, probe.now_ms);
  if (!doubt.empty()) verdict->text += StrCat("; by our own trust file: ", doubt);
  return *std::move(verdict);
}

}  // namespace sluice::sync
