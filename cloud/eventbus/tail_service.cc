#include "cloud/eventbus/tail_service.h"

#include <deque>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cloud/eventbus/outbox_trim.h"

namespace sluice::eventbus {
namespace {

constexpr int64_t kPageRows = 256;
// What retention keeps.
constexpr uint32_t kMaxLast = kNewestKept;

constexpr store::Sql kPage{
    "SELECT position, event_type, envelope FROM bus_outbox WHERE position > ? ORDER BY position LIMIT ?", "ii", "itt"};
// The place before the newest n.
constexpr store::Sql kLast{
    "SELECT coalesce(min(position), 1) - 1 FROM "
    "(SELECT position FROM bus_outbox WHERE (? = '' OR event_type = ?) ORDER BY position DESC LIMIT ?)",
    "tti", "i"};

grpc::Status Unavailable(const absl::Status& status) {
  return {grpc::StatusCode::UNAVAILABLE, std::string(MessageOf(status))};
}

}  // namespace

// Lives until OnDone; the service's thread holds it while it wakes it.
class TailStream final : public grpc::ServerWriteReactor<bus::v1::TailResponse>,
                         public std::enable_shared_from_this<TailStream> {
 public:
  TailStream(TailService& service, bus::v1::TailRequest request) : service_(service), request_(std::move(request)) {}

  void Start() {
    self_ = shared_from_this();
    std::lock_guard lock(mutex_);
    started_ = true;
    position_ = static_cast<int64_t>(
        std::min<uint64_t>(request_.position(), std::numeric_limits<int64_t>::max()));
    from_beginning_ = request_.last() == 0 && position_ == 0;
    if (request_.last() > 0) {
      const absl::Status status = service_.store_.Read([&](store::Transaction& transaction) {
        ASSIGN_OR_RETURN(store::Statement * row,
                         transaction.Find(kLast, request_.event_type(), request_.event_type(),
                                          std::min(request_.last(), kMaxLast)));
        position_ = row->Int(0);
        return absl::OkStatus();
      });
      if (!status.ok()) return End(Unavailable(status));
    }
    Advance();
  }

  void Reject(grpc::Status status) {
    self_ = shared_from_this();
    std::lock_guard lock(mutex_);
    End(std::move(status));
  }

  void Wake() {
    std::lock_guard lock(mutex_);
    if (started_ && !writing_) Advance();
  }

  void Drain() {
    std::lock_guard lock(mutex_);
    request_.set_follow(false);
    if (started_ && !writing_) Advance();
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    page_.pop_front();
    if (!ok) return End(grpc::Status::CANCELLED);
    Advance();
  }

  void OnCancel() override {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (!writing_) End(grpc::Status::CANCELLED);
  }

  void OnDone() override {
    const std::shared_ptr<TailStream> self = std::move(self_);   // to the end of this call
    service_.Forget(self);
  }

 private:
  // Not while a write is under way.
  void Advance() {
    if (ended_) return;
    if (cancelled_) return End(grpc::Status::CANCELLED);
    while (page_.empty()) {
      int64_t rows = 0;
      const absl::Status status = service_.store_.Read([&](store::Transaction& transaction) -> absl::Status {
        ASSIGN_OR_RETURN(const int64_t trimmed, TrimmedTo(transaction));
        if (from_beginning_) position_ = std::max(position_, trimmed);
        if (position_ < trimmed) {
          return absl::OutOfRangeError(StrCat("events up to position ", trimmed, " are no longer held, and the tail stood at ",
                                              position_, ": begin there, at 0 or with the last n"));
        }
        ASSIGN_OR_RETURN(store::Statement * page, transaction.Query(kPage, position_, kPageRows));
        for (;;) {
          ASSIGN_OR_RETURN(const bool more, page->Next());
          if (!more) return absl::OkStatus();
          ++rows;
          from_beginning_ = false;
          position_ = page->Int(0);
          if (!request_.event_type().empty() && page->Text(1) != request_.event_type()) continue;
          bus::v1::TailResponse& response = page_.emplace_back();
          response.set_position(static_cast<uint64_t>(position_));
          response.set_envelope_json(std::string(page->Text(2)));
        }
      });
      if (absl::IsOutOfRange(status)) return End({grpc::StatusCode::OUT_OF_RANGE, std::string(MessageOf(status))});
      if (!status.ok()) return End(Unavailable(status));
      if (rows < kPageRows) break;
    }
    if (!page_.empty()) {
      writing_ = true;
      StartWrite(&page_.front());
    } else if (!request_.follow()) {
      End(grpc::Status::OK);
    }
  }

  void End(grpc::Status status) {
    if (std::exchange(ended_, true)) return;
    Finish(std::move(status));
  }

  TailService& service_;
  std::shared_ptr<TailStream> self_;   // until OnDone

  std::mutex mutex_;
  bus::v1::TailRequest request_;                // from here guarded by mutex_
  int64_t position_ = 0;
  bool from_beginning_ = false;                 // wherever that is by now; nothing was read yet
  std::deque<bus::v1::TailResponse> page_;      // its front is under way while writing_
  // A commit or the service's end may come between Tail's entry in the list and Start: nothing goes out before Start knows
  // from where.
  bool started_ = false;
  bool writing_ = false, cancelled_ = false, ended_ = false;
};

TailService::TailService(store::Store& store, Authorize authorize) : store_(store), authorize_(std::move(authorize)) {
  store.OnCommit([this] {
    std::lock_guard lock(mutex_);
    if (streams_.empty()) return;
    woken_ = true;
    wake_.notify_one();
  });
  thread_ = std::thread([this] { Run(); });
}

TailService::~TailService() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

grpc::ServerWriteReactor<bus::v1::TailResponse>* TailService::Tail(grpc::CallbackServerContext* context,
                                                                   const bus::v1::TailRequest* request) {
  auto stream = std::make_shared<TailStream>(*this, *request);
  grpc::Status allowed = authorize_(*context);
  if (!allowed.ok()) {
    stream->Reject(std::move(allowed));
    return stream.get();
  }
  bool draining;
  {
    std::lock_guard lock(mutex_);
    streams_.insert(stream);
    draining = draining_;
  }
  stream->Start();
  if (draining) stream->Drain();
  return stream.get();
}

void TailService::Drain() {
  std::vector<std::shared_ptr<TailStream>> streams;
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
    streams.assign(streams_.begin(), streams_.end());
  }
  for (const auto& stream : streams) stream->Drain();
}

void TailService::Run() {
  for (;;) {
    std::vector<std::shared_ptr<TailStream>> streams;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || woken_; });
      if (stop_) return;
      woken_ = false;
      streams.assign(streams_.begin(), streams_.end());
    }
    for (const auto& stream : streams) stream->Wake();
  }
}

void TailService::Forget(const std::shared_ptr<TailStream>& stream) {
  std::lock_guard lock(mutex_);
  streams_.erase(stream);
}

}  // namespace sluice::eventbus
