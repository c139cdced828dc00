// `sluicectl cloud punches`: who clocked in and out, by the attendance service.
#pragma once

#include <string>

#include "gateway/ctl/cloud_target.h"
#include "gateway/ctl/session.h"

namespace sluice::ctl {

// Empty filters: all that we may see. `limit` 0: all.
int RunCloudPunches(const Session& session, const CloudTarget& target, const std::string& shop_id,
                    const std::string& employee_id, uint64_t limit);

}  // namespace sluice::ctl
