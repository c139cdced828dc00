// `sluicectl watch`: a live screen of the daemon.
#pragma once

#include <cstdint>

#include "gateway/ctl/session.h"

namespace sluice::ctl {

struct WatchOptions {
  int64_t interval_ms = 1000;   // between redraws
  uint64_t count = 0;           // end after so many; 0: Ctrl-C ends it
};

// On a terminal: a screen of its own, redrawn. Elsewhere: a line for each event and each interval. With session.json: a
// JSON object for each interval. A daemon that goes away is waited for. Blocks SIGINT, SIGTERM and SIGWINCH in the
// process: they end or redraw it.
int RunWatch(const Session& session, const WatchOptions& options);

}  // namespace sluice::ctl
