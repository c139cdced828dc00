// The members of a device event as devices name them, checked one by one and then put together: what the JSON decoders
// and the line profiles share. Pure; the words, types and ranges are those of ARCHITECTURE.md, "Native MQTT".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "devices/event.h"

namespace sluice::devices {

enum class EventKind : uint8_t {
  kStatus,
  kTelemetry,
  kAlarm,
  kSale,
  kRefill,
  kStockCount,
  kPriceChange,
  kPunch,
  kBreak,
  kCommandResult,
};
std::optional<EventKind> EventKindOf(std::string_view name);   // "stock-count"
std::string_view EventKindName(EventKind kind);
bool IsPersonal(EventKind kind);                               // tells of a person: punch, break
std::string EventKindNames();                                  // all of them, for messages

// 1–64 of A–Z a–z 0–9 . _ -, not beginning with a dot.
bool IsDeviceName(std::string_view text);

enum class Member : uint8_t {
  kBoot, kSeq, kId, kTime, kCorrelation, kGateway, kShop,   // of every kind
  kState, kText, kAttributes, kValues, kCode, kSeverity, kCleared, kProduct, kSelection, kQuantity, kPrice, kCurrency,
  kPayment, kTransaction, kLevel, kUser, kDirection, kVerified, kPhase, kCommand, kOk, kDetail,
};
inline constexpr int kMemberCount = static_cast<int>(Member::kDetail) + 1;
enum class MemberType : uint8_t { kInteger, kText, kBool, kTime /* integer or text */, kAttributes, kValues };

std::optional<Member> MemberOf(std::string_view name);
std::string_view MemberName(Member member);
MemberType TypeOf(Member member);
// "an integer from 1 to 1000000", "one of in, out": what the member allows, for messages.
std::string AllowedIn(Member member);
// The names of the kind's own members, comma-separated.
std::string MembersOf(EventKind kind);

// The device's number of a message: (boot, seq) or its own id. Kept apart from the event so that a refusal can name it.
struct Numbering {
  bool has_sequence = false;
  uint64_t boot = 0;
  uint64_t seq = 0;
  std::string message_id;
};

// One message. Every Set returns InvalidArgument "<member>: must be <what is allowed>" for a wrong value, a wrong type,
// or a member that was set before; the value stays unset then. Not for several threads.
class EventFields {
 public:
  absl::Status SetText(Member member, std::string_view value);        // valid UTF-8; checked for control characters
  absl::Status SetInteger(Member member, int64_t value);
  absl::Status SetBool(Member member, bool value);
  absl::Status AddAttribute(std::string_view name, std::string_view value);
  // Measurements need names of their own within a message; `unit` may be empty.
  absl::Status AddNumber(std::string_view name, double value, std::string_view unit);   // finite
  absl::Status AddWord(std::string_view name, std::string_view value, std::string_view unit);
  absl::Status AddFlag(std::string_view name, bool value, std::string_view unit);
  // The object was there, even if it is empty.
  absl::Status MarkSeen(Member member);

  bool Has(Member member) const { return (seen_ >> static_cast<int>(member)) & 1; }
  // What is known of the message's number so far, whether the rest is right or not.
  Numbering numbering() const;

  // Checks that everything the kind needs is there and nothing else, and builds the event. Use once.
  absl::StatusOr<DecodedEvent> Build(std::string_view device, EventKind kind) &&;

 private:
  absl::StatusOr<event::v1::Measurement*> NewMeasurement(std::string_view name, std::string_view unit);
  absl::Status CheckMembers(EventKind kind) const;
  std::string& TextOf(Member member) { return text_[static_cast<int>(member)]; }
  int64_t IntegerOf(Member member) const { return integer_[static_cast<int>(member)]; }
  template <typename Message>
  void TakeItem(Message& message);

  uint64_t seen_ = 0;
  int64_t integer_[kMemberCount];      // integers, bools, enum numbers, time in ms; valid where seen
  std::string text_[kMemberCount];
  event::v1::Status status_;           // attributes
  event::v1::Telemetry telemetry_;
};

}  // namespace sluice::devices
