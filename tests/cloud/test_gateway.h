// A gateway by hand: one stream over mTLS, frames written and read one by one.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "base/item.h"
#include "sluice/sync/v1/sync.grpc.pb.h"
#include "tests/fakes/test_certificates.h"

namespace sluice::cloud {

inline std::shared_ptr<grpc::Channel> Dial(const std::string& address, const fakes::TestAuthority& authority,
                                           const fakes::TestCertificate* certificate) {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = authority.certificate_pem();
  if (certificate != nullptr) {
    tls.pem_cert_chain = certificate->certificate_pem;
    tls.pem_private_key = certificate->private_key_pem;
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetSslTargetNameOverride("localhost");
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(tls), arguments);
}

class TestGateway {
 public:
  TestGateway(std::shared_ptr<grpc::Channel> channel, const std::string& name)
      : stub_(sync::v1::GatewaySync::NewStub(std::move(channel))), name_(name) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    stream_ = stub_->Stream(&context_);
  }

  bool Hello(sync::v1::Queue queue, const Id128& epoch, const std::string& shop) {
    sync::v1::ClientFrame frame;
    auto* hello = frame.mutable_hello();
    hello->set_protocol(1);
    hello->set_queue(queue);
    hello->set_gateway(name_);
    hello->set_hardware_id("box");
    auto* held = hello->add_epochs();
    held->set_epoch(std::string(epoch.View()));
    held->set_ordinal(1);
    held->set_shop(shop);
    return stream_->Write(frame);
  }
  bool Send(const Id128& epoch, uint64_t first, const std::vector<std::string>& events) {
    sync::v1::ClientFrame frame;
    frame.mutable_batch()->set_epoch(std::string(epoch.View()));
    for (const std::string& event : events) {
      auto* item = frame.mutable_batch()->add_items();
      item->set_first(first);
      item->set_last(first++);
      item->set_event(event);
    }
    return stream_->Write(frame);
  }
  // As a gateway that is killed.
  void Cancel() { context_.TryCancel(); }
  bool Read(sync::v1::ServerFrame& frame) { return stream_->Read(&frame); }
  // Reads acks until one names `cursor`.
  bool AwaitAck(uint64_t cursor, sync::v1::Ack* last = nullptr) {
    sync::v1::ServerFrame frame;
    while (stream_->Read(&frame)) {
      if (last != nullptr && frame.has_ack()) *last = frame.ack();
      if (frame.has_ack() && frame.ack().cursor() >= cursor) return true;
    }
    return false;
  }
  grpc::Status End() {
    stream_->WritesDone();
    sync::v1::ServerFrame frame;
    while (stream_->Read(&frame)) {
    }
    return stream_->Finish();
  }

 private:
  std::unique_ptr<sync::v1::GatewaySync::Stub> stub_;
  const std::string name_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<sync::v1::ClientFrame, sync::v1::ServerFrame>> stream_;
};

}  // namespace sluice::cloud
