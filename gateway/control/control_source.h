// What the control service asks of the daemon. The daemon implements it; the service owns it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "base/item.h"
#include "gateway/control/feed.h"
#include "sluice/control/v1/control.pb.h"

namespace sluice::control {

// One client's way through a sequence of messages. Used by one thread at a time; destroyed when the client is gone.
template <typename Message>
class Stream {
 public:
  virtual ~Stream() = default;
  // The next message, made only now. Nothing: there is none now, and `wake` is called once when there is one.
  virtual std::optional<Message> Next() = 0;
};

// Called from any thread, possibly under a lock of the daemon: returns at once, never calls back.
using Wake = std::function<void()>;

// All methods are called from several threads of the service at once and should return within a second.
class ControlSource {
 public:
  virtual ~ControlSource() = default;

  virtual v1::GetStatusResponse GetStatus() = 0;
  virtual v1::ListDevicesResponse ListDevices() = 0;
  virtual v1::ListQueuesResponse ListQueues() = 0;
  // NotFound if nothing is known of the event (any more).
  virtual absl::StatusOr<v1::TraceResponse> Trace(const EventId& id) = 0;
  // Every link that waits tries at once (unless the cloud told it to wait).
  virtual v1::SyncNowResponse SyncNow() = 0;

  // Begins with the newest request.last() messages that are remembered (of request.device_id(), if set), then goes on
  // with new ones. The service ends the stream itself when request.follow() is false.
  virtual std::unique_ptr<Stream<v1::TailedEvent>> Tail(const v1::TailRequest& request, Wake wake) = 0;
  virtual std::unique_ptr<Stream<v1::RejectedMessage>> TailRejected(const v1::TailRequest& request, Wake wake) = 0;
};

// A Stream over a Feed: `render` makes the message of an entry, only for entries that are really sent.
template <typename Message, typename Entry, typename Render>
std::unique_ptr<Stream<Message>> MakeFeedStream(Feed<Entry>& feed, size_t last, Wake wake,
                                                typename Feed<Entry>::Filter filter, Render render) {
  class FeedStream final : public Stream<Message> {
   public:
    FeedStream(std::unique_ptr<typename Feed<Entry>::Reader> reader, Render render)
        : reader_(std::move(reader)), render_(std::move(render)) {}
    std::optional<Message> Next() override {
      auto taken = reader_->Next();
      if (!taken) return std::nullopt;
      Message message = render_(taken->entry);
      message.set_dropped(taken->dropped);
      return message;
    }

   private:
    std::unique_ptr<typename Feed<Entry>::Reader> reader_;
    Render render_;
  };
  return std::make_unique<FeedStream>(feed.Open(last, std::move(wake), std::move(filter)), std::move(render));
}

}  // namespace sluice::control
