// The server's side of TLS 1.2 and 1.3 over OpenSSL: certificate, whom to believe, and streams for accepted sockets.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file.h"
#include "devices/transport/byte_stream.h"

struct ssl_ctx_st;   // OpenSSL's SSL_CTX

namespace sluice::transport {

struct TlsServerOptions {
  std::string certificate_file;   // PEM: ours, then what leads to its authority
  std::string key_file;           // PEM, without a password
  std::string client_ca_file;     // PEM: who may sign clients' certificates; empty: none is asked for
  bool client_certificate_required = false;
  // A clock that was never set would find every certificate not yet valid: time never counts as earlier than this (Unix ms).
  int64_t clock_floor_ms = 0;
};

// TLS 1.2 with ECDHE and AES-GCM or ChaCha20, and TLS 1.3. No compression, no renegotiation. Sessions are resumed by tickets
// under a key of this process, so that a thousand devices that come back cost few signatures; a reload ends them.
class TlsServer {
 public:
  // `clock` must outlive it. InvalidArgument, NotFound, PermissionDenied: names file and fault.
  static absl::StatusOr<std::unique_ptr<TlsServer>> Load(TlsServerOptions options, const Clock& clock);

  // Reads the files again if one of them changed: new connections use the new ones. Any thread. An error keeps the old ones, is
  // told once for each state of the files. True: loaded.
  absl::StatusOr<bool> Reload();

  // For the thread that serves connections. `socket` is non-blocking; it, the buffers and this outlive the stream.
  std::unique_ptr<ByteStream> Accept(int socket, ReadBuffers& buffers) const;

 private:
  using Stamps = std::array<FileStamp, 3>;

  TlsServer(TlsServerOptions options, const Clock& clock);
  Stamps Look() const;

  const TlsServerOptions options_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::shared_ptr<ssl_ctx_st> context_;
  Stamps stamps_;
};

}  // namespace sluice::transport
