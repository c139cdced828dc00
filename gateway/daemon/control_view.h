// The daemon as sluicectl sees it: answers put together from what each room tells of itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "devices/driver.h"
#include "gateway/control/control_source.h"
#include "gateway/control/ring_watcher.h"
#include "gateway/daemon/dead_letter_log.h"
#include "gateway/health/warnings.h"
#include "gateway/intake/intake.h"
#include "gateway/journal/journal.h"
#include "gateway/outbox/outbox.h"
#include "sync/uplink.h"

namespace sluice::daemon {

// What stands behind the view; all of it outlives the view.
struct Rooms {
  intake::Intake& intake;
  intake::ClockWatch& clock_watch;
  journal::Journal& journal;
  outbox::Outbox& outbox;
  sync::Uplink& uplink;
  const std::vector<std::unique_ptr<devices::Driver>>& drivers;
  const DeadLetterLog& dead_letters;
  health::Warnings& warnings;
  health::Counters& counters;
  const Clock& clock;
  std::string gateway, version;
  int64_t started_ms = 0;
};

class ControlView final : public control::ControlSource {
 public:
  explicit ControlView(Rooms rooms);

  control::v1::GetStatusResponse GetStatus() override;
  control::v1::ListDevicesResponse ListDevices() override;
  control::v1::ListQueuesResponse ListQueues() override;
  control::v1::ListDeadLettersResponse ListDeadLetters() override;
  absl::StatusOr<control::v1::TraceResponse> Trace(const EventId& id) override;
  control::v1::SyncNowResponse SyncNow() override;
  std::unique_ptr<control::Stream<control::v1::TailedEvent>> Tail(const control::v1::TailRequest& request,
                                                                  control::Wake wake) override;
  std::unique_ptr<control::Stream<control::v1::RejectedMessage>> TailRejected(const control::v1::TailRequest& request,
                                                                              control::Wake wake) override;

 private:
  const Rooms rooms_;
  control::RingWatcher<intake::TailRing> tail_watcher_;
  control::RingWatcher<intake::RejectLog> reject_watcher_;
};

}  // namespace sluice::daemon
