// `sluicectl tail`: events, or what was refused, as they come.
#pragma once

#include <string>

#include "gateway/ctl/session.h"
#include "sluice/control/v1/control.pb.h"

namespace sluice::ctl {

struct TailOptions {
  uint32_t last = 10;
  bool follow = true;
  std::string device_id;   // empty: all
  bool rejected = false;
};

int RunTail(const Session& session, const TailOptions& options);

// One line without '\n': time, device, kind, queue and number, event id, body.
std::string FormatEvent(const control::v1::TailedEvent& event);
// Two lines without the last '\n': what and why, then the message's beginning.
std::string FormatRejected(const control::v1::RejectedMessage& message);

}  // namespace sluice::ctl
