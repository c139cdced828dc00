// `sluicectl cloud stock`: what is left on the shelf, by the inventory service.
#pragma once

#include <string>

#include "gateway/ctl/cloud_target.h"
#include "gateway/ctl/session.h"

namespace sluice::ctl {

// Empty filters: all that we may see. `limit` 0: all.
int RunCloudStock(const Session& session, const CloudTarget& target, const std::string& shop_id,
                  const std::string& product_id, uint64_t limit);

}  // namespace sluice::ctl
