#include "gateway/ctl/watch_model.h"

#include <utility>

namespace sluice::ctl {
namespace {

// Counters of one run only grow; a smaller one means that we misread the run, not a negative rate.
double PerSecond(uint64_t before, uint64_t after, double seconds) {
  return after > before ? static_cast<double>(after - before) / seconds : 0;
}

}  // namespace

void WatchModel::AddSnapshot(control::v1::GetStatusResponse status, int64_t at_us) {
  lost_.clear();
  rates_.clear();
  accepted_rate_ = 0;
  has_rates_ = status_ && status_->epoch() == status.epoch() && status_->started_ms() == status.started_ms() &&
               at_us > at_us_;
  if (has_rates_) {
    const double seconds = static_cast<double>(at_us - at_us_) / 1e6;
    accepted_rate_ = PerSecond(status_->accepted(), status.accepted(), seconds);
    for (const auto& queue : status.queues()) {
      for (const auto& before : status_->queues()) {
        if (before.name() != queue.name()) continue;
        rates_[queue.name()] = {PerSecond(before.last_number(), queue.last_number(), seconds),
                                PerSecond(before.acknowledged(), queue.acknowledged(), seconds)};
      }
    }
  }
  status_ = std::move(status);
  at_us_ = at_us;
}

void WatchModel::AddEvent(control::v1::TailedEvent event) {
  not_shown_ += event.dropped();
  events_.push_back(std::move(event));
  if (events_.size() > kEvents) events_.pop_front();
}

void WatchModel::Lost(std::string reason) {
  lost_ = std::move(reason);
  has_rates_ = false;
}

WatchModel::QueueRates WatchModel::rates(const std::string& queue) const {
  const auto found = rates_.find(queue);
  return found == rates_.end() ? QueueRates{} : found->second;
}

}  // namespace sluice::ctl
