#include "cloud/retention/retention.h"

#include <chrono>
#include <utility>

#include "base/status.h"
#include "cloud/ingest/audit.h"
#include "cloud/retention/age_marks.h"

namespace sluice::retention {
namespace {

// A transaction holds the applying thread up: about 5 ms of work each.
constexpr int64_t kRowsAtOnce = 500;

constexpr char kBusSeries[] = "bus";
constexpr char kAuditSeries[] = "audit";

}  // namespace

Retention::Retention(Options options, store::Store& store, const Clock& clock)
    : options_(std::move(options)), store_(store), clock_(clock), noted_us_(clock.MonotonicUs()) {}

Retention::~Retention() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Retention::Start(std::function<void(const absl::Status&)> alarm) {
  thread_ = std::thread([this, alarm = std::move(alarm)] {
    for (;;) {
      if (absl::Status status = Look(); !status.ok()) alarm(WithContext(status, "retention"));
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, std::chrono::milliseconds(options_.look_every_ms), [&] { return stop_; })) return;
    }
  });
}

bool Retention::stopping() {
  std::lock_guard lock(mutex_);
  return stop_;
}

absl::Status Retention::Look() {
  int64_t bus_to = 0, audit_to = 0;
  const int64_t now_us = clock_.MonotonicUs();
  const absl::Status noted = store_.Write([&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(const int64_t served, AddServed(transaction, (now_us - noted_us_) / 1'000));
    RETURN_IF_ERROR(NoteMark(transaction, kBusSeries, served, store_.committed_position()));
    ASSIGN_OR_RETURN(const int64_t newest_audit, ingest::NewestAudit(transaction));
    RETURN_IF_ERROR(NoteMark(transaction, kAuditSeries, served, newest_audit));
    if (options_.bus_days > 0) {
      ASSIGN_OR_RETURN(bus_to, MarkOfAge(transaction, kBusSeries, served, options_.bus_days * kDayMs));
    }
    if (options_.audit_days > 0) {
      ASSIGN_OR_RETURN(audit_to, MarkOfAge(transaction, kAuditSeries, served, options_.audit_days * kDayMs));
    }
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(noted);
  noted_us_ = now_us;
  RETURN_IF_ERROR(TrimBus(bus_to));
  return InSteps([&](store::Transaction& transaction) { return ingest::TrimAudit(transaction, audit_to, kRowsAtOnce); });
}

absl::Status Retention::TrimBus(int64_t old_to) {
  int64_t bound = 0;
  const absl::Status read = store_.Read([&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(bound, eventbus::TrimBound(transaction, {.publishers = options_.publishers,
                                                              .old_to = old_to,
                                                              .newest_kept = options_.newest_bus_rows}));
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(read);
  return InSteps([&](store::Transaction& transaction) { return eventbus::Trim(transaction, bound, kRowsAtOnce); });
}

absl::Status Retention::InSteps(absl::FunctionRef<absl::StatusOr<int64_t>(store::Transaction&)> step) {
  int64_t gone = kRowsAtOnce;
  while (gone == kRowsAtOnce && !stopping()) {
    const absl::Status status = store_.Write([&](store::Transaction& transaction) -> absl::Status {
      ASSIGN_OR_RETURN(gone, step(transaction));
      return absl::OkStatus();
    });
    RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

}  // namespace sluice::retention
