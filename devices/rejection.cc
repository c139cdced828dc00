#include "devices/rejection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"

namespace sluice::devices {
namespace {

// How names of members begin that are about people, whatever the kind. A head that is cut within such a name holds no value of it.
constexpr std::array<std::string_view, 7> kPersonalMembers = {"\"user",   "\"verified",  "\"template", "\"biometr",
                                                              "\"finger", "\"face",      "\"employee"};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool NamesAPerson(std::string_view head) {
  if (head.find("\\u") != std::string_view::npos) return true;   // a name may be written so that nobody finds it here
  return std::any_of(kPersonalMembers.begin(), kPersonalMembers.end(), [&](std::string_view name) {
    const auto same = [](char a, char b) { return Lower(a) == b; };
    return std::search(head.begin(), head.end(), name.begin(), name.end(), same) != head.end();
  });
}

std::string HeadOf(std::string_view message, const JsonEventFacts& facts) {
  const std::string_view head = message.substr(0, kRejectionHeadBytes);
  const bool keep = facts.kind && !IsPersonal(*facts.kind) && !NamesAPerson(head);
  return std::string(keep ? head : kMayNameAPerson);
}

}  // namespace

Rejection MakeRejection(std::string source, std::string where, const absl::Status& why, std::string_view message,
                        const JsonEventFacts& facts) {
  return {.source = std::move(source),
          .where = std::move(where),
          .device_id = facts.device,
          .reason = std::string(MessageOf(why)),
          .head = HeadOf(message, facts),
          .size = message.size(),
          .has_sequence = facts.numbering.has_sequence,
          .boot = facts.numbering.boot,
          .seq = facts.numbering.seq,
          .message_id = facts.numbering.message_id};
}

}  // namespace sluice::devices
