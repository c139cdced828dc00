#include "sync/stream.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "sluice/sync/v1/sync.grpc.pb.h"

namespace sluice::sync {
namespace {

constexpr char kRetryAfterTrailer[] = "retry-after-ms";
constexpr size_t kMaxMessageBytes = 500;   // of a status: the server's words end in our log

class Call final : public Stream, public grpc::ClientBidiReactor<v1::ClientFrame, v1::ServerFrame> {
 public:
  Call(std::shared_ptr<grpc::Channel> channel, std::shared_ptr<Mailbox> mailbox, StreamHandlers handlers)
      : mailbox_(std::move(mailbox)), handlers_(std::move(handlers)), stub_(v1::GatewaySync::NewStub(std::move(channel))) {}

  void Start(std::shared_ptr<Call> self) {
    self_ = std::move(self);
    stub_->async()->Stream(&context_, this);
    // Writes begin outside of reactions: the hold keeps OnDone away until the mailbox's thread has seen the end.
    AddHold();
    StartRead(&incoming_);
    StartCall();
  }

  v1::ClientFrame& outgoing() override { return outgoing_; }
  void Write() override {
    if (!over_) StartWrite(&outgoing_);
  }
  void HalfClose() override {
    if (!over_) StartWritesDone();
  }
  void Cancel() override { context_.TryCancel(); }

 private:
  void OnReadDone(bool ok) override {
    const bool taken = mailbox_->Post([this, self = self_, ok] {
      if (!ok) {
        over_ = true;
        RemoveHold();
        return;
      }
      handlers_.on_frame(incoming_);
      StartRead(&incoming_);
    });
    // Nobody is left to write: the end need not wait for the mailbox's thread.
    if (!taken) {
      context_.TryCancel();
      RemoveHold();
    }
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return;  // the end follows
    mailbox_->Post([this, self = self_] { handlers_.on_written(); });
  }

  void OnDone(const grpc::Status& status) override {
    std::optional<int64_t> hint_ms;
    const auto& trailers = context_.GetServerTrailingMetadata();
    if (const auto found = trailers.find(kRetryAfterTrailer); found != trailers.end()) {
      int64_t value = 0;
      if (absl::SimpleAtoi(absl::string_view(found->second.data(), found->second.size()), &value) && value >= 0) {
        hint_ms = value;
      }
    }
    // gRPC's codes are Abseil's.
    absl::Status end(static_cast<absl::StatusCode>(status.error_code()), status.error_message().substr(0, kMaxMessageBytes));
    // gRPC 1.51 joins its callback threads when the last channel goes (grpc/grpc#32584): never drop ours on one of them.
    // So the mailbox's thread gets the only reference. Closed mailbox: the process is ending, and a leak is the lesser evil.
    const std::shared_ptr<Mailbox> mailbox = mailbox_;
    auto* last = new std::shared_ptr<Call>(std::move(self_));
    mailbox->Post([last, end = std::move(end), hint_ms]() mutable {
      const std::unique_ptr<std::shared_ptr<Call>> self(last);
      (*self)->handlers_.on_end(std::move(end), hint_ms);
    });
  }

  const std::shared_ptr<Mailbox> mailbox_;
  const StreamHandlers handlers_;
  const std::unique_ptr<v1::GatewaySync::Stub> stub_;
  grpc::ClientContext context_;
  v1::ClientFrame outgoing_;
  v1::ServerFrame incoming_;
  bool over_ = false;            // of the mailbox's thread
  std::shared_ptr<Call> self_;   // until OnDone
};

}  // namespace

std::shared_ptr<Stream> Stream::Open(std::shared_ptr<grpc::Channel> channel, std::shared_ptr<Mailbox> mailbox,
                                     StreamHandlers handlers) {
  auto call = std::make_shared<Call>(std::move(channel), std::move(mailbox), std::move(handlers));
  call->Start(call);
  return call;
}

}  // namespace sluice::sync
