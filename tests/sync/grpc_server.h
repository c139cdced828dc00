// A small cloud in the test's process: GatewaySync over mutual TLS, Receivers behind it.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "cloud/ingest/cursor_store.h"
#include "cloud/ingest/receiver.h"
#include "tests/fakes/test_certificates.h"

namespace sluice::sync {

class GrpcServer {
 public:
  struct Options {
    int port = 0;   // 0: any free one
    ingest::ReceiverOptions receiver;
    int64_t refuse_with_hint_ms = 0;   // not 0: every stream ends at once with RESOURCE_EXHAUSTED and this hint
  };
  // Null: the port could not be bound.
  static std::unique_ptr<GrpcServer> Start(const Options& options, const fakes::TestAuthority& authority,
                                           ingest::CursorStore& store, const Clock& clock);
  // Cuts all streams.
  virtual ~GrpcServer() = default;
  virtual int port() const = 0;
  std::string address() const { return "127.0.0.1:" + std::to_string(port()); }
};

}  // namespace sluice::sync
