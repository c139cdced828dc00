#include "devices/rejection.h"

#include <utility>

#include "base/strings.h"

namespace sluice::devices {

Rejection MakeRejection(std::string source, std::string where, const absl::Status& why, std::string_view message,
                        const JsonEventFacts& facts) {
  return {.source = std::move(source),
          .where = std::move(where),
          .device_id = facts.device,
          .reason = std::string(MessageOf(why)),
          .head = std::string(message.substr(0, kRejectionHeadBytes)),
          .size = message.size(),
          .has_sequence = facts.numbering.has_sequence,
          .boot = facts.numbering.boot,
          .seq = facts.numbering.seq,
          .message_id = facts.numbering.message_id};
}

}  // namespace sluice::devices
