// The shell around a service's methods: listening, mutual TLS, keepalive, health, a graceful end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace sluice::serving {

// PEM files. Replaced on disk (atomically), they count from the next handshake on.
struct TlsFiles {
  std::string certificate;   // chain, own certificate first
  std::string private_key;   // readable by nobody but the owner
  std::string authorities;   // who signs the callers' certificates
};

// That the files are there, hold what they should, fit each other, and that the key is 0600 (or stricter): gRPC listens with
// any files and then refuses every handshake. NotFound, PermissionDenied, InvalidArgument.
absl::Status CheckTlsFiles(const TlsFiles& files);

struct ServerOptions {
  std::string address;                          // host:port; port 0: any free one
  TlsFiles tls;
  int reload_s = 10;                            // how often the files are looked at
  int64_t keepalive_ms = 30'000;                // half-open connections are found within keepalive and its timeout
  int64_t keepalive_timeout_ms = 10'000;
  int64_t max_connection_age_ms = 12 * 3600'000;   // a connection keeps the identity it began with: bound its age
  int max_receive_bytes = 4 << 20;
};

// TLS 1.2 or newer; a client without a certificate that chains to `authorities` is refused in the handshake.
class Server {
 public:
  // `services` outlive it. Unavailable: the address cannot be had.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       const std::vector<grpc::Service*>& services);
  ~Server();

  // host:port with the port that was bound.
  const std::string& address() const { return address_; }

  // Health says NOT_SERVING, no new calls; those running have `grace_ms`, then they are cancelled. Blocks.
  void Shutdown(int64_t grace_ms);

 private:
  Server() = default;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace sluice::serving
