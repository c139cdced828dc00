#include "cloud/eventbus/relay.h"

#include <chrono>
#include <utility>

#include "base/status.h"

namespace sluice::eventbus {
namespace {

using Steady = std::chrono::steady_clock;

constexpr store::Sql kReadNote{"SELECT position, mark FROM bus_relay WHERE publisher = ?", "t", "it"};
constexpr store::Sql kWriteNote{
    "INSERT INTO bus_relay(publisher, position, mark) VALUES(?, ?, ?) "
    "ON CONFLICT(publisher) DO UPDATE SET position = excluded.position, mark = excluded.mark",
    "tit"};
// One writer gives positions in commit order, so nothing lower can still appear.
constexpr store::Sql kPage{
    "SELECT position, entity, envelope FROM bus_outbox WHERE position > ? ORDER BY position LIMIT ?", "ii", "itt"};

}  // namespace

Relay::Relay(RelayOptions options, store::Store& store, Publisher& publisher,
             std::function<void(const absl::Status&)> alarm, FreshRows* fresh)
    : options_(std::move(options)), store_(store), publisher_(publisher), alarm_(std::move(alarm)), fresh_(fresh) {}

absl::StatusOr<std::unique_ptr<Relay>> Relay::Start(RelayOptions options, store::Store& store, Publisher& publisher,
                                                    std::function<void(const absl::Status&)> alarm, FreshRows* fresh) {
  std::unique_ptr<Relay> relay(new Relay(std::move(options), store, publisher, std::move(alarm), fresh));
  std::string mark;
  const absl::Status read = store.Read([&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(store::Statement * note, transaction.Find(kReadNote, relay->options_.publisher));
    if (note != nullptr) {
      relay->published_ = relay->noted_ = note->Int(0);
      mark = note->Text(1);
    }
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(read);
  RETURN_IF_ERROR(WithContext(publisher.Resume(mark), "publisher"));
  store.OnCommit([raw = relay.get()] {
    std::lock_guard lock(raw->mutex_);
    raw->wake_.notify_one();
  });
  relay->thread_ = std::thread([raw = relay.get()] { raw->Run(); });
  return relay;
}

Relay::~Relay() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

int64_t Relay::published() const {
  std::lock_guard lock(mutex_);
  return published_;
}

bool Relay::AwaitPublished(int64_t position, int64_t timeout_ms) {
  std::unique_lock lock(mutex_);
  return progress_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return published_ >= position; });
}

void Relay::Run() {
  const auto note_every = std::chrono::milliseconds(options_.note_every_ms);
  auto note_at = Steady::now() + note_every;
  for (;;) {
    bool stopping;
    {
      std::unique_lock lock(mutex_);
      const auto due = [&] { return stop_ || store_.committed_position() > published_; };
      if (noted_ == published_) {
        wake_.wait(lock, due);
        note_at = std::max(note_at, Steady::now());
      } else {
        wake_.wait_until(lock, note_at, due);
      }
      stopping = stop_;
    }
    absl::Status status;
    while (status.ok() && store_.committed_position() > published()) {
      status = PublishSome();
      if (Steady::now() >= note_at) break;
    }
    if (status.ok() && noted_ != published() && (stopping || Steady::now() >= note_at)) {
      status = Note();
      note_at = Steady::now() + note_every;
    }
    if (!status.ok()) {
      alarm_(WithContext(status, "event bus"));
      if (stopping) return;
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, std::chrono::milliseconds(options_.retry_ms), [&] { return stop_; });
    } else if (stopping && store_.committed_position() <= published() && noted_ == published()) {
      return;
    }
  }
}

absl::Status Relay::PublishSome() {
  // Asked before anything is read: whatever is committed by now is in what is read to its end.
  const int64_t committed = store_.committed_position();
  const int64_t after = published();
  int64_t last = after;
  bool all = false;
  absl::Status status = PublishFresh(after, last, all);
  if (status.ok() && !all && last == after) status = PublishPage(after, last, all);
  {
    // After a failure too: what Publish took must not be given to it twice.
    std::lock_guard lock(mutex_);
    published_ = status.ok() && all ? std::max(last, committed) : last;
  }
  if (status.ok()) status = publisher_.Push();
  progress_.notify_all();
  return status;
}

absl::Status Relay::PublishFresh(int64_t after, int64_t& last, bool& all) {
  if (fresh_ == nullptr) return absl::OkStatus();
  const FreshRows::Coverage coverage = fresh_->Take(after, rows_);
  if (coverage == FreshRows::Coverage::kNone) return absl::OkStatus();
  all = coverage == FreshRows::Coverage::kAll;
  return rows_.ForEachAbove(after, [&](int64_t position, std::string_view entity, std::string_view envelope) {
    absl::Status status = publisher_.Publish(static_cast<uint64_t>(position), entity, envelope);
    if (status.ok()) last = position;
    return status;
  });
}

absl::Status Relay::PublishPage(int64_t after, int64_t& last, bool& all) {
  int rows = 0;
  const absl::Status status = store_.Read([&](store::Transaction& transaction) {
    ASSIGN_OR_RETURN(store::Statement * page, transaction.Query(kPage, after, options_.page));
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, page->Next());
      if (!more) return absl::OkStatus();
      RETURN_IF_ERROR(publisher_.Publish(static_cast<uint64_t>(page->Int(0)), page->Text(1), page->Text(2)));
      last = page->Int(0);
      ++rows;
    }
  });
  all = rows < options_.page;
  return status;
}

absl::Status Relay::Note() {
  RETURN_IF_ERROR(publisher_.Flush());
  const int64_t position = published();
  const std::string mark = publisher_.Mark();
  RETURN_IF_ERROR(store_.Write([&](store::Transaction& transaction) {
    return transaction.Run(kWriteNote, options_.publisher, position, mark).status();
  }));
  noted_ = position;
  return absl::OkStatus();
}

}  // namespace sluice::eventbus
