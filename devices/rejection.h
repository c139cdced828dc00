// What a driver tells of a message that it could not decode.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "devices/event.h"
#include "devices/json_event.h"

namespace sluice::devices {

inline constexpr size_t kRejectionHeadBytes = 1024;

// The head is kept only where `facts` knows the kind, the kind is not about people (punch, break), and the head has no member that
// is: what a terminal sends may hold a biometric template, and that is stored nowhere. Otherwise kMayNameAPerson stands there.
Rejection MakeRejection(std::string source, std::string where, const absl::Status& why, std::string_view message,
                        const JsonEventFacts& facts = {});

}  // namespace sluice::devices
