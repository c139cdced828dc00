// `sluicectl devices`: what the gateway has heard from, and when.
#pragma once

#include <string>

#include "gateway/ctl/session.h"
#include "sluice/control/v1/control.pb.h"

namespace sluice::ctl {

int RunDevices(const Session& session);

std::string FormatDevices(const control::v1::ListDevicesResponse& devices, int64_t now_ms);

}  // namespace sluice::ctl
