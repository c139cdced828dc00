#include "tests/sync/grpc_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <utility>

#include "sluice/sync/v1/sync.grpc.pb.h"
#include "sync/identity.h"

namespace sluice::sync {
namespace {

// A thread per stream: simple, and enough for a test.
class Service final : public v1::GatewaySync::Service {
 public:
  Service(const GrpcServer::Options& options, ingest::CursorStore& store, const Clock& clock)
      : options_(options.receiver), hint_ms_(options.refuse_with_hint_ms), store_(store), clock_(clock) {}

  grpc::Status Stream(grpc::ServerContext* context,
                      grpc::ServerReaderWriter<v1::ServerFrame, v1::ClientFrame>* stream) override {
    if (hint_ms_ != 0) {
      context->AddTrailingMetadata("retry-after-ms", std::to_string(hint_ms_));
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many handshakes"};
    }
    ingest::Peer peer;
    for (const auto& name : context->auth_context()->FindPropertyValues("peer_uri")) {
      if (const auto identity = ParseGatewaySpiffeId({name.data(), name.size()}); identity.ok()) {
        peer = {.gateway = identity->gateway, .shop = identity->shop};
      }
    }
    ingest::Receiver receiver(options_, peer, store_, clock_);
    v1::ClientFrame frame;
    while (stream->Read(&frame)) {
      std::vector<v1::ClientFrame> frames;
      frames.push_back(std::move(frame));
      ingest::Reply reply = receiver.OnFrames(std::move(frames));
      for (const v1::ServerFrame& answer : reply.frames) stream->Write(answer);
      if (reply.close) {
        receiver.OnEnd(false);
        return {static_cast<grpc::StatusCode>(reply.close->code()), std::string(reply.close->message())};
      }
    }
    receiver.OnEnd(!context->IsCancelled());
    return grpc::Status::OK;
  }

 private:
  const ingest::ReceiverOptions options_;
  const int64_t hint_ms_;
  ingest::CursorStore& store_;
  const Clock& clock_;
};

class GrpcServerImpl final : public GrpcServer {
 public:
  GrpcServerImpl(const Options& options, const fakes::TestAuthority& authority, ingest::CursorStore& store,
                 const Clock& clock)
      : service_(options, store, clock) {
    const fakes::TestCertificate own = authority.IssueService("shop");
    grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = authority.certificate_pem();
    tls.pem_key_cert_pairs.push_back({own.private_key_pem, own.certificate_pem});
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(options.port), grpc::SslServerCredentials(tls), &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~GrpcServerImpl() override {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }
  bool started() const { return server_ != nullptr && port_ != 0; }
  int port() const override { return port_; }

 private:
  Service service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

std::unique_ptr<GrpcServer> GrpcServer::Start(const Options& options, const fakes::TestAuthority& authority,
                                              ingest::CursorStore& store, const Clock& clock) {
  auto server = std::make_unique<GrpcServerImpl>(options, authority, store, clock);
  if (!server->started()) return nullptr;
  return server;
}

}  // namespace sluice::sync
