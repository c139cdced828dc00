// `sluicectl cloud events`: what the services publish to the ERP.
#pragma once

#include <string>
#include <vector>

#include "gateway/ctl/cloud_target.h"
#include "gateway/ctl/session.h"

namespace sluice::ctl {

struct CloudEventsOptions {
  uint32_t last = 20;              // of each service; 0: everything from the beginning
  bool follow = false;
  std::string event_type;          // empty: all
  std::vector<std::string> from;   // service names; empty: every one whose address is known
};

// Without follow and with `last`, the services' events are put in order of their timestamps; otherwise they are shown as
// they come. A stream that breaks while following is taken up again where it was.
int RunCloudEvents(const Session& session, const CloudTarget& target, const CloudEventsOptions& options);

// One line without '\n': time, type, source, data. An envelope that is no JSON is shown as it is (escaped).
std::string FormatEnvelope(const std::string& envelope_json);

}  // namespace sluice::ctl
