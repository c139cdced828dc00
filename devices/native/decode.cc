#include "devices/native/decode.h"

#include "base/status.h"
#include "base/strings.h"

namespace sluice::native {
namespace {

constexpr std::string_view kPrefix = "sluice/v1/";

}  // namespace

bool IsEventTopic(std::string_view topic) { return topic.starts_with(kPrefix); }

absl::StatusOr<EventTopic> ParseTopic(std::string_view topic) {
  if (!IsEventTopic(topic)) return absl::InvalidArgumentError("topic: must be sluice/v1/<device>/<kind>");
  std::string_view rest = topic.substr(kPrefix.size());
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos || rest.find('/', slash + 1) != std::string_view::npos) {
    return absl::InvalidArgumentError("topic: must be sluice/v1/<device>/<kind>");
  }
  EventTopic parsed{rest.substr(0, slash), rest.substr(slash + 1)};
  if (!devices::IsDeviceName(parsed.device)) {
    return absl::InvalidArgumentError(
        "topic: the device must be 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot");
  }
  if (parsed.kind.empty()) {
    return absl::InvalidArgumentError(StrCat("topic: the kind is empty; must be one of ", devices::EventKindNames()));
  }
  return parsed;
}

std::string ReceiptTopic(std::string_view device) { return StrCat(kPrefix, device, "/", kReceiptKind); }

absl::StatusOr<devices::DecodedEvent> Decode(std::string_view topic, std::string_view payload,
                                             devices::JsonEventFacts* facts) {
  if (facts != nullptr) *facts = devices::JsonEventFacts();
  ASSIGN_OR_RETURN(const EventTopic parsed, ParseTopic(topic));
  return devices::DecodeJsonEvent(payload, {.device = parsed.device, .kind = parsed.kind}, facts);
}

}  // namespace sluice::native
