// `sluicectl cloud dead-letters …`: what the services could never accept.
#pragma once

#include <string>
#include <vector>

#include "gateway/ctl/cloud_target.h"
#include "gateway/ctl/session.h"

namespace sluice::ctl {

struct DeadLettersOptions {
  std::vector<std::string> services;   // list: of these; empty: of all that are known
  std::string gateway_id;              // list: only of this gateway
  uint64_t limit = 0;                  // list: 0: all
  std::string id;                      // the others; its queue tells the service
  std::string reason;                  // drop
};

// Oldest first, over all services. One that does not answer does not hide the others' rows.
int RunCloudListDeadLetters(const Session& session, const CloudTarget& target, const DeadLettersOptions& options);
int RunCloudShowDeadLetter(const Session& session, const CloudTarget& target, const DeadLettersOptions& options);
// kProblemFound where it is refused again.
int RunCloudRequeueDeadLetter(const Session& session, const CloudTarget& target, const DeadLettersOptions& options);
int RunCloudDropDeadLetter(const Session& session, const CloudTarget& target, const DeadLettersOptions& options);

}  // namespace sluice::ctl
