// A connection to one cloud service: mutual TLS, made anew for each attempt.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sync/identity.h"

namespace grpc {
class Channel;
}

namespace sluice::sync {

struct ChannelOptions {
  int64_t connect_timeout_ms = 10'000;
  int64_t keepalive_ms = 30'000;           // half-open connections are found within keepalive and its timeout
  int64_t keepalive_timeout_ms = 10'000;
  int max_receive_bytes = 1 << 20;         // Welcome with many epochs is the largest
  std::string server_name;                 // expected in the server's certificate; empty: the host of the address
};

// A new channel, so a new connection: one that was made while the server was down kept answering "connection refused" for
// 8 s and more after it was up. The server's certificate has to chain to `credentials.authorities_pem` and to carry the
// DNS name (or address) that was dialled.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const Credentials& credentials,
                                           const ChannelOptions& options);

}  // namespace sluice::sync
