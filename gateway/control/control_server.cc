#include "gateway/control/control_server.h"

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <cerrno>
#include <mutex>
#include <utility>

#include "base/status.h"
#include "gateway/control/socket_file.h"
#include "gateway/control/stream_pump.h"
#include "gateway/control/stream_reactor.h"
#include "sluice/control/v1/control.grpc.pb.h"

namespace sluice::control {
namespace {

grpc::Status AsGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(MessageOf(status)));
}

// The source answers at once, so calls run on gRPC's own threads.
class Service final : public v1::Control::CallbackService {
 public:
  Service(ControlSource& source, size_t max_streams) : source_(source), max_streams_(max_streams) {}

  void StopStreams() { pump_.Stop(); }

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context, const v1::GetStatusRequest*,
                                      v1::GetStatusResponse* response) override {
    *response = source_.GetStatus();
    return Answer(context, grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* ListDevices(grpc::CallbackServerContext* context, const v1::ListDevicesRequest*,
                                        v1::ListDevicesResponse* response) override {
    *response = source_.ListDevices();
    return Answer(context, grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* ListQueues(grpc::CallbackServerContext* context, const v1::ListQueuesRequest*,
                                       v1::ListQueuesResponse* response) override {
    *response = source_.ListQueues();
    return Answer(context, grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* ListDeadLetters(grpc::CallbackServerContext* context, const v1::ListDeadLettersRequest*,
                                            v1::ListDeadLettersResponse* response) override {
    *response = source_.ListDeadLetters();
    return Answer(context, grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* SyncNow(grpc::CallbackServerContext* context, const v1::SyncNowRequest*,
                                    v1::SyncNowResponse* response) override {
    *response = source_.SyncNow();
    return Answer(context, grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* Trace(grpc::CallbackServerContext* context, const v1::TraceRequest* request,
                                  v1::TraceResponse* response) override {
    const auto id = EventId::Parse(request->event_id());
    if (!id) {
      return Answer(context, grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                                          "event_id is a UUID: 32 hexadecimal digits, with or without dashes"));
    }
    absl::StatusOr<v1::TraceResponse> trace = source_.Trace(*id);
    if (trace.ok()) *response = *std::move(trace);
    return Answer(context, AsGrpc(trace.status()));
  }

  grpc::ServerWriteReactor<v1::TailedEvent>* Tail(grpc::CallbackServerContext*,
                                                  const v1::TailRequest* request) override {
    return StreamReactor<v1::TailedEvent>::Open(
        pump_, max_streams_, request->follow(),
        [this, request](Wake wake) { return source_.Tail(*request, std::move(wake)); });
  }

  grpc::ServerWriteReactor<v1::RejectedMessage>* TailRejected(grpc::CallbackServerContext*,
                                                              const v1::TailRequest* request) override {
    return StreamReactor<v1::RejectedMessage>::Open(
        pump_, max_streams_, request->follow(),
        [this, request](Wake wake) { return source_.TailRejected(*request, std::move(wake)); });
  }

 private:
  static grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const grpc::Status& status) {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }

  ControlSource& source_;
  const size_t max_streams_;
  StreamPump pump_;
};

class ControlServerImpl final : public ControlServer {
 public:
  ControlServerImpl(const Options& options, ControlSource& source)
      : options_(options), service_(source, options.max_streams) {}
  ~ControlServerImpl() override { ControlServerImpl::Stop(); }

  absl::Status Listen() {
    RETURN_IF_ERROR(FreeSocketPath(options_.socket_path));
    // gRPC takes a leading '/' as absolute and anything else as relative to the process.
    const std::string address = StrCat("unix:", options_.socket_path);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0) {
      return absl::UnavailableError(StrCat("cannot listen on ", options_.socket_path, "; is its folder writable?"));
    }
    // gRPC bound it under the process's umask. The usual 022 lets only the owner connect (that takes write permission), so
    // until here the socket is narrower than asked for, never wider.
    if (chmod(options_.socket_path.c_str(), static_cast<mode_t>(options_.mode)) != 0) {
      return absl::ErrnoToStatus(errno, AsAbsl(StrCat("setting the mode of ", options_.socket_path)));
    }
    return absl::OkStatus();
  }

  void Stop() override {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
    service_.StopStreams();
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now() + options_.stop_grace);
    server_->Wait();
  }

 private:
  const Options options_;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  bool stopped_ = false;   // under mutex_
};

}  // namespace

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(const Options& options, ControlSource& source) {
  auto server = std::make_unique<ControlServerImpl>(options, source);
  RETURN_IF_ERROR(WithContext(server->Listen(), "control"));
  return std::unique_ptr<ControlServer>(std::move(server));
}

}  // namespace sluice::control
