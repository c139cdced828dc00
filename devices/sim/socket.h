// One TCP connection of a simulated device, through TLS where wanted. Never blocks once the address is known.
#pragma once

#include <netdb.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

struct ssl_st;
struct ssl_ctx_st;

namespace sluice::sim {

// What a device trusts and shows of itself; shared by all connections with the same files.
class TlsContext {
 public:
  // PEM files; certificate and key may be empty.
  static absl::StatusOr<std::shared_ptr<TlsContext>> Make(const std::string& ca, const std::string& certificate,
                                                          const std::string& key);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class Socket;
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* const context_;
};

// Not thread-safe. Errors are final: drop it.
class Socket {
 public:
  // Begins to connect; tries the host's addresses in turn. `tls` null: plain. The server must show a certificate for `host`.
  static absl::StatusOr<std::unique_ptr<Socket>> Connect(const std::string& host, int port,
                                                         std::shared_ptr<TlsContext> tls);
  ~Socket();

  // Changes while another address is tried, within Advance.
  int fd() const { return fd_.get(); }
  // Whether it waits for the socket to take bytes.
  bool WantsWrite() const { return wants_write_; }
  // Goes on with connecting and the handshake. True: bytes may flow.
  absl::StatusOr<bool> Advance();
  // How many bytes were taken or came; 0: not now. Unavailable: the other side is gone.
  absl::StatusOr<size_t> Write(std::string_view bytes);
  absl::StatusOr<size_t> Read(char* buffer, size_t size);

 private:
  struct FreeAddresses {
    void operator()(addrinfo* list) const { freeaddrinfo(list); }
  };

  explicit Socket(std::string host) : host_(std::move(host)) {}
  absl::Status Begin();
  absl::Status BeginTls();
  absl::StatusOr<size_t> TlsResult(int result, std::string_view what);

  const std::string host_;
  std::shared_ptr<TlsContext> tls_;
  std::unique_ptr<addrinfo, FreeAddresses> addresses_;
  addrinfo* next_address_ = nullptr;
  UniqueFd fd_;
  ssl_st* ssl_ = nullptr;
  bool connected_ = false;
  bool open_ = false;
  bool wants_write_ = true;
};

}  // namespace sluice::sim
