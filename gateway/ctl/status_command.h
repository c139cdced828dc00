// `sluicectl status`: everything at one glance, and whether something is wrong.
#pragma once

#include <string>

#include "gateway/ctl/session.h"
#include "sluice/control/v1/control.pb.h"

namespace sluice::ctl {

int RunStatus(const Session& session);

// What is wrong by this status: a warning, a refused link, dead letters. Decides the exit code.
bool HasProblem(const control::v1::GetStatusResponse& status);
// For people, several blocks. `now_ms`: Unix ms.
std::string FormatStatus(const control::v1::GetStatusResponse& status, int64_t now_ms);

}  // namespace sluice::ctl
