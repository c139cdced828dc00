// A server stream over control::Stream: gRPC's side of tail.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <mutex>
#include <utility>

#include "gateway/control/control_source.h"
#include "gateway/control/stream_pump.h"

namespace sluice::control {

// Made by Open, keeps itself alive until gRPC says OnDone.
template <typename Message>
class StreamReactor final : public grpc::ServerWriteReactor<Message>,
                            public Pumped,
                            public std::enable_shared_from_this<StreamReactor<Message>> {
 public:
  // `open` gets a wake and returns the stream. At most max_streams at once, the next is refused.
  template <typename OpenStream>
  static grpc::ServerWriteReactor<Message>* Open(StreamPump& pump, size_t max_streams, bool follow, OpenStream open) {
    auto reactor = std::make_shared<StreamReactor>(pump, follow);
    reactor->self_ = reactor;
    if (!pump.Add(reactor, max_streams)) {
      reactor->Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many tails at once, or stopping"));
      return reactor.get();
    }
    // A weak pointer to oneself: the stream that holds the wake is owned by the reactor.
    reactor->stream_ = open([&pump, weak = std::weak_ptr<Pumped>(reactor)] { pump.Wake(weak); });
    {
      std::lock_guard lock(reactor->mutex_);
      reactor->opened_ = true;
    }
    reactor->Pump();
    return reactor.get();
  }

  StreamReactor(StreamPump& pump, bool follow) : pump_(pump), follow_(follow) {}

  void Pump() override {
    bool write = false, stopped = false;
    {
      std::lock_guard lock(mutex_);
      if (!opened_ || writing_ || finished_) return;
      stopped = ended_;
      if (!stopped) {
        if (auto next = stream_->Next()) {
          message_ = *std::move(next);
          write = true;
        } else if (follow_) {
          return;
        }
      }
      (write ? writing_ : finished_) = true;
    }
    // Outside of the lock: gRPC may call back from within. Nobody else starts anything until it does.
    if (write) {
      this->StartWrite(&message_);
    } else {
      this->Finish(stopped ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "sluiced is stopping") : grpc::Status::OK);
    }
  }

  void End() override {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    Pump();
  }

  void OnWriteDone(bool ok) override {
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      if (!ok) ended_ = true;
    }
    Pump();
  }

  void OnCancel() override { End(); }

  void OnDone() override {
    auto self = std::move(self_);
    pump_.Remove(self);
    stream_.reset();
  }

 private:
  StreamPump& pump_;
  const bool follow_;
  std::shared_ptr<StreamReactor> self_;
  std::unique_ptr<Stream<Message>> stream_;   // used only while writing_ is being decided, under mutex_

  std::mutex mutex_;
  Message message_;
  bool opened_ = false, writing_ = false, ended_ = false, finished_ = false;
};

}  // namespace sluice::control
