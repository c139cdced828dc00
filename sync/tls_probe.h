// One TLS handshake with a cloud service, to find out what gRPC does not tell: whose certificate it fails over.
#pragma once

#include <cstdint>
#include <string>

#include "sync/identity.h"

namespace sluice::sync {

struct TlsVerdict {
  enum class Kind {
    kNothing,            // certificates are not what it fails over, as far as can be seen
    kOursRefused,        // the cloud does not accept our certificate
    kTheirsNotBelieved,  // the cloud's certificate does not verify
  };
  Kind kind = Kind::kNothing;
  std::string text;      // for people
};

struct TlsProbe {
  std::string address;       // as a channel's; other schemes than dns: are not probed
  std::string server_name;   // as ChannelOptions::server_name
  Credentials credentials;
  int64_t timeout_ms = 5'000;
  int64_t now_ms = 0;        // by the wall clock, for what is said of our own certificate
};

// Connects, shows our certificate and waits for the first byte of HTTP/2 or for the end: with TLS 1.3 the client's handshake
// is over before its certificate is judged. One that the cloud ends without an alert (gRPC sends none) has to end so twice: it may have
// been stopped just then. Blocks for at most twice the timeout, and for as long as the resolver takes; less when
// `cancel_fd` becomes readable. SIGPIPE has to be blocked or ignored on this thread.
TlsVerdict ProbeTls(const TlsProbe& probe, int cancel_fd);

}  // namespace sluice::sync
