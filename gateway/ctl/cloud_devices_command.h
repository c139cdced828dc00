// `sluicectl cloud devices`: the devices as the shop service knows them.
#pragma once

#include <string>

#include "gateway/ctl/cloud_target.h"
#include "gateway/ctl/session.h"

namespace sluice::ctl {

// `shop_id` empty: every shop that we may see. `limit` 0: all.
int RunCloudDevices(const Session& session, const CloudTarget& target, const std::string& shop_id, uint64_t limit);

}  // namespace sluice::ctl
