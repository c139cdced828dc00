#include "devices/transport/tls_server.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace sluice::transport {
namespace {

constexpr size_t kMaxFileBytes = 1u << 20;
constexpr int kMaxChain = 5;                      // certificates between a client's and the authority
constexpr long kMaxClientCertificates = 32 << 10;  // bytes that a client may send before it is believed

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(BIO_METHOD* method) const { BIO_meth_free(method); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

// A PEM file with a password must not ask for it on the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

std::string LastError(std::string_view otherwise) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? std::string(otherwise) : std::string(reason);
}

absl::StatusOr<std::string> ReadPem(const std::string& path, std::string_view what) {
  absl::StatusOr<std::string> content = ReadFile(path, kMaxFileBytes);
  if (!content.ok()) return WithContext(content.status(), StrCat(what, " ", path));
  return content;
}

Owned<BIO> Memory(std::string_view text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::vector<Owned<X509>> Certificates(std::string_view pem) {
  std::vector<Owned<X509>> found;
  const Owned<BIO> bio = Memory(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) found.emplace_back(certificate);
  ERR_clear_error();
  return found;
}

absl::Status UseCertificate(SSL_CTX* context, const TlsServerOptions& options) {
  ASSIGN_OR_RETURN(const std::string chain_pem, ReadPem(options.certificate_file, "certificate"));
  ASSIGN_OR_RETURN(const std::string key_pem, ReadPem(options.key_file, "key"));
  const std::vector<Owned<X509>> chain = Certificates(chain_pem);
  if (chain.empty()) {
    return absl::InvalidArgumentError(StrCat("certificate ", options.certificate_file, ": holds no PEM certificate"));
  }
  const Owned<BIO> bio = Memory(key_pem);
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(StrCat("key ", options.key_file, ": holds no PEM key without a password"));
  }
  if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        StrCat("key ", options.key_file, ": is not the key of certificate ", options.certificate_file));
  }
  bool used = SSL_CTX_use_certificate(context, chain[0].get()) == 1 && SSL_CTX_use_PrivateKey(context, key.get()) == 1;
  for (size_t i = 1; used && i < chain.size(); ++i) used = SSL_CTX_add1_chain_cert(context, chain[i].get()) == 1;
  if (used) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat("certificate ", options.certificate_file, ": ", LastError("cannot be used")));
}

absl::Status BelieveClients(SSL_CTX* context, const TlsServerOptions& options) {
  if (options.client_ca_file.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string pem, ReadPem(options.client_ca_file, "client authorities"));
  const std::vector<Owned<X509>> authorities = Certificates(pem);
  if (authorities.empty()) {
    return absl::InvalidArgumentError(StrCat("client authorities ", options.client_ca_file, ": holds no PEM certificate"));
  }
  for (const auto& authority : authorities) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get());
    SSL_CTX_add_client_CA(context, authority.get());
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (options.client_certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  SSL_CTX_set_verify_depth(context, kMaxChain);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<SSL_CTX>> MakeContext(const TlsServerOptions& options) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context == nullptr) return absl::ResourceExhaustedError("OpenSSL: no memory for a context");
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_cipher_list(raw, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set1_groups_list(raw, "X25519:P-256:P-384");
  // A silent connection then holds no buffers of 16 KiB.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_max_cert_list(raw, kMaxClientCertificates);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);   // tickets are enough
  SSL_CTX_set_num_tickets(raw, 1);
  static constexpr unsigned char kScope[] = "sluice listener";
  SSL_CTX_set_session_id_context(raw, kScope, sizeof kScope - 1);
  RETURN_IF_ERROR(UseCertificate(raw, options));
  RETURN_IF_ERROR(BelieveClients(raw, options));
  return context;
}

class TlsStream final : public ByteStream {
 public:
  TlsStream(std::shared_ptr<SSL_CTX> context, int socket, ReadBuffers& buffers, int64_t now_s)
      : context_(std::move(context)), socket_(socket), buffers_(buffers), ssl_(SSL_new(context_.get())) {
    if (ssl_ == nullptr) return;
    BIO* bio = BIO_new(Method());
    if (bio == nullptr) {
      ssl_.reset();
      return;
    }
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_accept_state(ssl_.get());
    X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl_.get()), static_cast<time_t>(now_s));
  }

  State Handshake() override {
    if (ssl_ == nullptr) return Fail("no memory for TLS");
    Begin();
    return End(SSL_accept(ssl_.get()));
  }

  State Read(std::string_view* bytes) override {
    *bytes = {};
    Begin();
    size_t size = 0;
    int result = 0;
    while (size < buffers_.plain.size()) {
      result = SSL_read(ssl_.get(), buffers_.plain.data() + size, static_cast<int>(buffers_.plain.size() - size));
      if (result <= 0) break;
      size += static_cast<size_t>(result);
    }
    const State state = End(result);
    *bytes = std::string_view(buffers_.plain.data(), size);
    // Only what was there was waited for.
    return state == State::kWantRead && size > 0 ? State::kOk : state;
  }

  State Write(std::string_view bytes, size_t* written) override {
    *written = 0;
    Begin();
    const int result = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1u << 20)));
    if (result > 0) *written = static_cast<size_t>(result);
    return End(result);
  }

  void SayGoodbye() override {
    if (ssl_ == nullptr || broken_ || !SSL_is_init_finished(ssl_.get())) return;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }

  std::string error() const override { return error_; }
  x509_st* peer_certificate() const override { return SSL_get0_peer_certificate(ssl_.get()); }
  std::string security() const override { return StrCat(SSL_get_version(ssl_.get()), " ", SSL_get_cipher_name(ssl_.get())); }

 private:
  // OpenSSL reads records in small pieces: they are served from one read of the socket.
  static BIO_METHOD* Method() {
    static const Owned<BIO_METHOD> method = [] {
      Owned<BIO_METHOD> made(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket with a shared buffer"));
      BIO_meth_set_read(made.get(), [](BIO* bio, char* out, int size) {
        return static_cast<TlsStream*>(BIO_get_data(bio))->ReadSocket(bio, out, size);
      });
      BIO_meth_set_write(made.get(), [](BIO* bio, const char* bytes, int size) {
        return static_cast<TlsStream*>(BIO_get_data(bio))->WriteSocket(bio, bytes, size);
      });
      BIO_meth_set_ctrl(made.get(), [](BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1L : 0L; });
      return made;
    }();
    return method.get();
  }

  int ReadSocket(BIO* bio, char* out, int size) {
    BIO_clear_retry_flags(bio);
    if (unread_.empty() && kept_.empty()) {
      if (!may_read_) {
        BIO_set_retry_read(bio);
        return -1;
      }
      may_read_ = false;
      const ssize_t got = recv(socket_, buffers_.socket.data(), buffers_.socket.size(), 0);
      if (got == 0) ended_ = true;
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_read(bio);
      if (got < 0) socket_error_ = BIO_should_retry(bio) ? 0 : errno;
      if (got <= 0) return static_cast<int>(got);
      unread_ = std::string_view(buffers_.socket.data(), static_cast<size_t>(got));
    }
    const std::string_view from = kept_.empty() ? unread_ : std::string_view(kept_);
    const size_t count = std::min(from.size(), static_cast<size_t>(size));
    std::memcpy(out, from.data(), count);
    if (kept_.empty()) {
      unread_.remove_prefix(count);
    } else {
      kept_.erase(0, count);
      if (kept_.empty()) std::string().swap(kept_);   // a silent connection holds no buffer
    }
    return static_cast<int>(count);
  }

  int WriteSocket(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t put = send(socket_, bytes, static_cast<size_t>(size), MSG_NOSIGNAL);
    if (put >= 0) return static_cast<int>(put);
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
      BIO_set_retry_write(bio);
    } else {
      socket_error_ = errno;
    }
    return -1;
  }

  void Begin() {
    ERR_clear_error();
    may_read_ = true;
  }

  // What OpenSSL makes of the call. The socket's buffer belongs to the next stream from now on.
  State End(int result) {
    if (!unread_.empty()) {
      kept_.append(unread_);
      unread_ = {};
    }
    if (result > 0) return State::kOk;
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ: return State::kWantRead;
      case SSL_ERROR_WANT_WRITE: return State::kWantWrite;
      case SSL_ERROR_ZERO_RETURN: return State::kEnd;
      default: break;
    }
    broken_ = true;
    if (ended_ && SSL_is_init_finished(ssl_.get())) {
      ERR_clear_error();
      return State::kEnd;   // without a goodbye; MQTT says itself whether it meant to
    }
    if (ended_) return Fail("the client closed the connection during the handshake");
    if (socket_error_ != 0) return Fail(std::strerror(socket_error_));
    const long verified = SSL_get_verify_result(ssl_.get());
    std::string what = LastError("broken");
    if (verified != X509_V_OK) what += StrCat(" (", X509_verify_cert_error_string(verified), ")");
    return Fail(std::move(what));
  }

  State Fail(std::string why) {
    ERR_clear_error();
    broken_ = true;
    error_ = std::move(why);
    return State::kError;
  }

  const std::shared_ptr<SSL_CTX> context_;
  const int socket_;
  ReadBuffers& buffers_;
  Owned<SSL> ssl_;
  std::string_view unread_;   // of buffers_.socket
  std::string kept_;          // what a call left of it
  bool may_read_ = false;     // one read of the socket a call
  bool ended_ = false, broken_ = false;
  int socket_error_ = 0;
  std::string error_;
};

}  // namespace

TlsServer::TlsServer(TlsServerOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}

TlsServer::Stamps TlsServer::Look() const {
  return {StampOf(options_.certificate_file), StampOf(options_.key_file), StampOf(options_.client_ca_file)};
}

absl::StatusOr<std::unique_ptr<TlsServer>> TlsServer::Load(TlsServerOptions options, const Clock& clock) {
  std::unique_ptr<TlsServer> server(new TlsServer(std::move(options), clock));
  server->stamps_ = server->Look();
  ASSIGN_OR_RETURN(server->context_, MakeContext(server->options_));
  return server;
}

absl::StatusOr<bool> TlsServer::Reload() {
  const Stamps now = Look();
  {
    const std::lock_guard lock(mutex_);
    if (now == stamps_) return false;
    stamps_ = now;
  }
  ASSIGN_OR_RETURN(std::shared_ptr<SSL_CTX> fresh, MakeContext(options_));
  const std::lock_guard lock(mutex_);
  context_ = std::move(fresh);
  return true;
}

std::unique_ptr<ByteStream> TlsServer::Accept(int socket, ReadBuffers& buffers) const {
  std::shared_ptr<SSL_CTX> context;
  {
    const std::lock_guard lock(mutex_);
    context = context_;
  }
  const int64_t now_ms = std::max(clock_.WallMs(), options_.clock_floor_ms);
  return std::make_unique<TlsStream>(std::move(context), socket, buffers, now_ms / 1000);
}

}  // namespace sluice::transport
