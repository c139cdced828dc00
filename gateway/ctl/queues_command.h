// `sluicectl queues`: what waits for the cloud, and how each link is.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <string>

#include "gateway/ctl/session.h"
#include "sluice/control/v1/control.pb.h"

namespace sluice::ctl {

int RunQueues(const Session& session);

// A table and, below it, why a link is not streaming. `now_ms`: Unix ms.
std::string FormatQueues(const google::protobuf::RepeatedPtrField<control::v1::QueueStatus>& queues, int64_t now_ms);

}  // namespace sluice::ctl
