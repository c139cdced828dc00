#include "gateway/ctl/ctl_client.h"

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <mutex>
#include <set>
#include <utility>

#include "base/status.h"
#include "gateway/ctl/socket_connect.h"
#include "sluice/control/v1/control.grpc.pb.h"

namespace sluice::ctl {
namespace {

constexpr std::chrono::seconds kTimeout{5};
// A tenth of a gigabyte of devices is not what a box has; the default of 4 MiB is 20,000 of them.
constexpr int kMaxMessageBytes = 64 << 20;

class CtlClientImpl final : public CtlClient {
 public:
  CtlClientImpl(std::string path, std::shared_ptr<grpc::Channel> channel)
      : path_(std::move(path)), stub_(pb::Control::NewStub(std::move(channel))) {}

  absl::StatusOr<pb::GetStatusResponse> GetStatus() override {
    return Unary<pb::GetStatusResponse>(&pb::Control::Stub::GetStatus, pb::GetStatusRequest());
  }
  absl::StatusOr<pb::ListDevicesResponse> ListDevices() override {
    return Unary<pb::ListDevicesResponse>(&pb::Control::Stub::ListDevices, pb::ListDevicesRequest());
  }
  absl::StatusOr<pb::ListQueuesResponse> ListQueues() override {
    return Unary<pb::ListQueuesResponse>(&pb::Control::Stub::ListQueues, pb::ListQueuesRequest());
  }
  absl::StatusOr<pb::TraceResponse> Trace(const std::string& event_id) override {
    pb::TraceRequest request;
    request.set_event_id(event_id);
    return Unary<pb::TraceResponse>(&pb::Control::Stub::Trace, request);
  }
  absl::StatusOr<pb::SyncNowResponse> SyncNow() override {
    return Unary<pb::SyncNowResponse>(&pb::Control::Stub::SyncNow, pb::SyncNowRequest());
  }
  absl::StatusOr<pb::ListDeadLettersResponse> ListDeadLetters() override {
    return Unary<pb::ListDeadLettersResponse>(&pb::Control::Stub::ListDeadLetters, pb::ListDeadLettersRequest());
  }

  absl::Status Tail(const pb::TailRequest& request, std::function<bool(const pb::TailedEvent&)> each) override {
    return ReadStream<pb::TailedEvent>([&](grpc::ClientContext* context) { return stub_->Tail(context, request); },
                                       request.follow(), each);
  }
  absl::Status TailRejected(const pb::TailRequest& request,
                            std::function<bool(const pb::RejectedMessage&)> each) override {
    return ReadStream<pb::RejectedMessage>(
        [&](grpc::ClientContext* context) { return stub_->TailRejected(context, request); }, request.follow(), each);
  }

  void Cancel() override {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    for (grpc::ClientContext* context : streams_) context->TryCancel();
  }

 private:
  template <typename Response, typename Method, typename Request>
  absl::StatusOr<Response> Unary(Method method, const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kTimeout);
    Response response;
    RETURN_IF_ERROR(Explain(((*stub_).*method)(&context, request, &response)));
    return response;
  }

  template <typename Message, typename Open, typename Each>
  absl::Status ReadStream(Open open, bool follow, const Each& each) {
    // A stream that follows has no deadline, so ask first whether anybody is there.
    if (follow) RETURN_IF_ERROR(GetStatus().status());
    grpc::ClientContext context;
    if (!follow) context.set_deadline(std::chrono::system_clock::now() + 2 * kTimeout);
    {
      std::lock_guard lock(mutex_);
      if (cancelled_) return absl::CancelledError("cancelled");
      streams_.insert(&context);
    }
    auto reader = open(&context);
    bool wanted = true;
    for (Message message; wanted && reader->Read(&message);) wanted = each(message);
    if (!wanted) context.TryCancel();
    const grpc::Status status = reader->Finish();
    std::lock_guard lock(mutex_);
    streams_.erase(&context);
    if (!wanted) return absl::OkStatus();
    return Explain(status);
  }

  absl::Status Explain(const grpc::Status& status) const {
    switch (status.error_code()) {
      case grpc::StatusCode::OK:
        return absl::OkStatus();
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        return absl::DeadlineExceededError(
            StrCat("sluiced does not answer in ", kTimeout.count(), " s on ", path_,
                   "\nIt may hang or its disk may be stuck. Look:  systemctl status sluiced;  journalctl -u sluiced"));
      case grpc::StatusCode::UNAVAILABLE:
        return absl::UnavailableError(StrCat("sluiced closed the connection on ", path_, ": ", status.error_message()));
      default:
        return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
    }
  }

  const std::string path_;
  const std::unique_ptr<pb::Control::Stub> stub_;
  std::mutex mutex_;
  bool cancelled_ = false;                     // under mutex_
  std::set<grpc::ClientContext*> streams_;     // under mutex_
};

}  // namespace

absl::StatusOr<std::unique_ptr<CtlClient>> CtlClient::Connect(const std::string& socket_path) {
  ASSIGN_OR_RETURN(UniqueFd fd, ConnectSocket(socket_path));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  // On our own descriptor: gRPC's connector would hide which error it was. It takes the descriptor over.
  auto channel = grpc::CreateCustomInsecureChannelFromFd("sluiced", fd.Release(), arguments);
  return std::unique_ptr<CtlClient>(std::make_unique<CtlClientImpl>(socket_path, std::move(channel)));
}

}  // namespace sluice::ctl
