// `sluicectl trace`: where one event has been, and when.
#pragma once

#include <string>

#include "gateway/ctl/session.h"
#include "sluice/control/v1/control.pb.h"

namespace sluice::ctl {

int RunTrace(const Session& session, const std::string& event_id);

std::string FormatTrace(const control::v1::TraceResponse& trace);

}  // namespace sluice::ctl
