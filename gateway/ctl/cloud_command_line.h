// The arguments of `sluicectl cloud …`.
#pragma once

#include <functional>

#include "gateway/ctl/session.h"

namespace CLI {
class App;
}

namespace sluice::ctl {

// Adds the commands to `app`; parsing one of them sets `run`. Options live as long as `app`.
void AddCloudCommands(CLI::App& app, std::function<int(const Session&)>& run);

}  // namespace sluice::ctl
