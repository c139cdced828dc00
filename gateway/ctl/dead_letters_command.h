// `sluicectl dead-letters`: what the cloud told the gateway that it could never accept.
#pragma once

#include <string>

#include "gateway/ctl/session.h"
#include "sluice/control/v1/control.pb.h"

namespace sluice::ctl {

int RunDeadLetters(const Session& session);

std::string FormatDeadLetters(const control::v1::ListDeadLettersResponse& letters);

}  // namespace sluice::ctl
