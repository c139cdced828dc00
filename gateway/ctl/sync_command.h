// `sluicectl sync now`: links that wait try at once.
#pragma once

#include "gateway/ctl/session.h"

namespace sluice::ctl {

int RunSyncNow(const Session& session);

}  // namespace sluice::ctl
