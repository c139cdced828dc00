// What `sluicectl watch` knows: the last snapshot, rates from successive ones, the last events. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "sluice/control/v1/control.pb.h"

namespace sluice::ctl {

// For one thread.
class WatchModel {
 public:
  struct QueueRates {
    double accepted = 0, acknowledged = 0;   // per second, between the last two snapshots
  };

  // `at_us`: monotonic. Rates begin anew when the daemon was started again in between.
  void AddSnapshot(control::v1::GetStatusResponse status, int64_t at_us);
  // Bounded: keeps the newest kEvents.
  void AddEvent(control::v1::TailedEvent event);
  void Lost(std::string reason);   // no connection; the next snapshot ends it

  const std::optional<control::v1::GetStatusResponse>& status() const { return status_; }
  const std::string& lost() const { return lost_; }
  QueueRates rates(const std::string& queue) const;
  double accepted_rate() const { return accepted_rate_; }
  bool has_rates() const { return has_rates_; }
  const std::deque<control::v1::TailedEvent>& events() const { return events_; }
  uint64_t not_shown() const { return not_shown_; }

  static constexpr size_t kEvents = 200;

 private:
  std::optional<control::v1::GetStatusResponse> status_;
  int64_t at_us_ = 0;
  std::string lost_;
  bool has_rates_ = false;
  double accepted_rate_ = 0;
  std::map<std::string, QueueRates> rates_;
  std::deque<control::v1::TailedEvent> events_;
  uint64_t not_shown_ = 0;   // events that came faster than the tail
};

}  // namespace sluice::ctl
