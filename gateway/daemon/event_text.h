// Encoded events as people read them: for tail and trace.
#pragma once

#include <string>

#include "sluice/event/v1/event.pb.h"

namespace sluice::daemon {

// sale, stock-count, punch …: the kind as it stands in a topic; "unknown" for a body this version does not know.
std::string KindName(const event::v1::DeviceEvent& event);
// The body alone as one line of JSON: field names of the contract, numbers as numbers, values of enumerations in small
// letters; "{}" for a body this version does not know.
std::string BodyJson(const event::v1::DeviceEvent& event);

}  // namespace sluice::daemon
