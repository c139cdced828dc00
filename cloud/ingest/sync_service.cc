#include "cloud/ingest/sync_service.h"

#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"

namespace sluice::ingest {
namespace {

namespace wire = sync::v1;

constexpr size_t kMaxReplies = 1'024;

// Abseil's codes are gRPC's.
grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(MessageOf(status))};
}

}  // namespace

// gRPC's callbacks put frames in and take replies out; the worker alone talks to the receiver. Lives until OnDone and as
// long as the worker has a task of it.
class SyncStream final : public grpc::ServerBidiReactor<wire::ClientFrame, wire::ServerFrame>,
                         public std::enable_shared_from_this<SyncStream> {
 public:
  SyncStream(SyncService& service, Peer peer)
      : service_(service),
        store_(service.store_for_(peer)),
        receiver_(service.options_.receiver, std::move(peer), *store_, service.clock_) {}

  void Start() {
    self_ = shared_from_this();
    StartRead(&incoming_);
  }

  void Drain() {
    std::lock_guard lock(mutex_);
    draining_ = true;
    Schedule();
  }

  void OnReadDone(bool ok) override {
    std::lock_guard lock(mutex_);
    if (!ok) {
      ended_ = true;
    } else {
      const size_t bytes = incoming_.ByteSizeLong();
      queued_bytes_ += bytes;
      queued_.push_back(std::move(incoming_));
      incoming_ = wire::ClientFrame();
      paused_ = !MayRead();
      if (!paused_) StartRead(&incoming_);
    }
    Schedule();
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    replies_.pop_front();
    if (!ok) replies_.clear();   // the gateway is gone; OnCancel or the end of reading follows
    if (paused_ && MayRead()) Schedule();
    Proceed();
  }

  void OnCancel() override {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    Schedule();
  }

  void OnDone() override {
    const std::shared_ptr<SyncStream> self = std::move(self_);   // to the end of this call
    bool clean;
    {
      // Only now it is certain: the end of reading is told in the same way when the gateway was killed, often before
      // OnCancel.
      std::lock_guard lock(mutex_);
      clean = ended_ && !cancelled_ && closing_ && closing_->ok();
    }
    if (clean) service_.worker_.Post([self] { self->receiver_.OnEnd(true); }, false);
    service_.Forget(self);
  }

 private:
  // With mutex_ held. A gateway that does not read its acks, or is faster than the store, waits.
  bool MayRead() const {
    return queued_bytes_ < service_.options_.max_queued_bytes && replies_.size() < kMaxReplies && !ended_ &&
           !cancelled_ && !closing_;
  }

  // With mutex_ held.
  void Schedule() {
    if (scheduled_) return;
    scheduled_ = true;
    service_.worker_.Post([stream = shared_from_this()] { stream->Work(); }, urgent_);
  }

  // On the worker.
  void Work() {
    std::vector<wire::ClientFrame> frames;
    bool ended, draining;
    {
      std::lock_guard lock(mutex_);
      scheduled_ = false;
      frames.swap(queued_);
      queued_bytes_ = 0;
      if (paused_ && MayRead()) {
        paused_ = false;
        StartRead(&incoming_);
      }
      // Nobody would be told what these did.
      if (closing_) frames.clear();
      ended = ended_ || cancelled_;
      draining = draining_;
    }
    Reply reply;
    if (!frames.empty()) reply = receiver_.OnFrames(std::move(frames));
    if (ended && !std::exchange(end_told_, true)) {
      receiver_.OnEnd(false);
      if (!reply.close) reply.close = absl::OkStatus();
    } else if (draining && !reply.close) {
      wire::Goodbye* goodbye = reply.frames.emplace_back().mutable_goodbye();
      goodbye->set_reason("the service stops");
      goodbye->set_retry_after_ms(service_.options_.drain_retry_ms);
      reply.close = absl::UnavailableError("the service stops");
    }
    std::lock_guard lock(mutex_);
    if (!urgent_ && receiver_.welcomed()) urgent_ = !IsBulk(receiver_.queue());
    if (closing_) return;   // nothing follows what was said last
    for (wire::ServerFrame& frame : reply.frames) replies_.push_back(std::move(frame));
    if (reply.close) closing_ = ToGrpc(*reply.close);
    Proceed();
  }

  // With mutex_ held: the next reply, or the end.
  void Proceed() {
    if (writing_ || finished_) return;
    if (!replies_.empty() && !cancelled_) {
      writing_ = true;
      StartWrite(&replies_.front());
    } else if (closing_) {
      finished_ = true;
      Finish(*closing_);
    }
  }

  SyncService& service_;
  std::shared_ptr<SyncStream> self_;         // until OnDone

  // The worker's own.
  const std::unique_ptr<CursorStore> store_;
  Receiver receiver_;
  bool end_told_ = false;

  std::mutex mutex_;                         // guards all below
  wire::ClientFrame incoming_;               // gRPC's while a read is under way
  std::vector<wire::ClientFrame> queued_;
  size_t queued_bytes_ = 0;
  std::deque<wire::ServerFrame> replies_;    // the front is gRPC's while writing_
  std::optional<grpc::Status> closing_;      // after the replies
  bool urgent_ = false;                      // unknown before Hello
  bool scheduled_ = false, paused_ = false, writing_ = false;
  bool ended_ = false, cancelled_ = false, draining_ = false, finished_ = false;
};

namespace {

class Rejected final : public grpc::ServerBidiReactor<wire::ClientFrame, wire::ServerFrame> {
 public:
  explicit Rejected(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace

SyncService::SyncService(SyncServiceOptions options, Identify identify, StoreFor store_for, ApplyWorker& worker,
                         const Clock& clock)
    : options_(std::move(options)),
      identify_(std::move(identify)),
      store_for_(std::move(store_for)),
      worker_(worker),
      clock_(clock) {}

grpc::ServerBidiReactor<wire::ClientFrame, wire::ServerFrame>* SyncService::Stream(
    grpc::CallbackServerContext* context) {
  absl::StatusOr<Peer> peer = identify_(*context);
  if (!peer.ok()) return new Rejected(ToGrpc(peer.status()));
  auto stream = std::make_shared<SyncStream>(*this, *std::move(peer));
  {
    std::lock_guard lock(mutex_);
    if (draining_) return new Rejected({grpc::StatusCode::UNAVAILABLE, "the service stops"});
    if (streams_.size() >= options_.max_streams) {
      return new Rejected({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many streams"});
    }
    streams_.insert(stream);
  }
  stream->Start();
  return stream.get();
}

void SyncService::Drain() {
  std::vector<std::shared_ptr<SyncStream>> streams;
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
    streams.assign(streams_.begin(), streams_.end());
  }
  for (const auto& stream : streams) stream->Drain();
}

void SyncService::Forget(const std::shared_ptr<SyncStream>& stream) {
  std::lock_guard lock(mutex_);
  streams_.erase(stream);
}

}  // namespace sluice::ingest
