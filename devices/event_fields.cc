#include "devices/event_fields.h"

#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "base/status.h"
#include "base/strings.h"
#include "devices/rfc3339.h"

namespace sluice::devices {
namespace {

using event::v1::Alarm;
using event::v1::Break;
using event::v1::Punch;
using event::v1::Status;

constexpr std::array<std::string_view, 10> kKindNames = {"status", "telemetry",    "alarm", "sale",  "refill",
                                                         "stock-count", "price-change", "punch", "break", "command-result"};

constexpr uint32_t Of(EventKind kind) { return 1U << static_cast<int>(kind); }
constexpr uint32_t kAny = ~0U;
constexpr uint32_t kGoods =
    Of(EventKind::kSale) | Of(EventKind::kRefill) | Of(EventKind::kStockCount) | Of(EventKind::kPriceChange);
constexpr uint32_t kPeople = Of(EventKind::kPunch) | Of(EventKind::kBreak);

// Stores keep numbers as signed 64 bits; a device that counts to here was never honest (delivery case 37).
constexpr int64_t kMaxNumber = std::numeric_limits<int64_t>::max();
constexpr int64_t kMaxTimeMs = 253'402'300'799'999;   // 9999-12-31T23:59:59.999Z
constexpr size_t kMaxAttributes = 32;
constexpr size_t kMaxAttributeBytes = 256;
constexpr int kMaxMeasurements = 64;
constexpr size_t kMaxMeasurementText = 256;
constexpr size_t kMaxUnitBytes = 32;

struct Word {
  std::string_view text;
  int number;
};
constexpr Word kStates[] = {{"online", Status::STATE_ONLINE},
                            {"offline", Status::STATE_OFFLINE},
                            {"degraded", Status::STATE_DEGRADED},
                            {"out_of_service", Status::STATE_OUT_OF_SERVICE}};
constexpr Word kSeverities[] = {{"info", Alarm::SEVERITY_INFO},
                                {"warning", Alarm::SEVERITY_WARNING},
                                {"critical", Alarm::SEVERITY_CRITICAL}};
constexpr Word kDirections[] = {{"in", Punch::DIRECTION_IN}, {"out", Punch::DIRECTION_OUT}};
constexpr Word kPhases[] = {{"start", Break::PHASE_STARTED}, {"end", Break::PHASE_ENDED}};
constexpr Word kVerified[] = {{"finger", event::v1::VERIFIED_BY_FINGER},
                              {"face", event::v1::VERIFIED_BY_FACE},
                              {"card", event::v1::VERIFIED_BY_CARD},
                              {"pin", event::v1::VERIFIED_BY_PIN}};

struct Spec {
  std::string_view name;
  MemberType type;
  uint32_t kinds;
  int64_t least;   // of integers the value, of text the bytes
  int64_t most;
  std::span<const Word> words = {};   // of text: nothing else is allowed
};

constexpr Spec kSpecs[kMemberCount] = {
    {"boot", MemberType::kInteger, kAny, 0, kMaxNumber},
    {"seq", MemberType::kInteger, kAny, 1, kMaxNumber},
    {"id", MemberType::kText, kAny, 1, 128},
    {"time", MemberType::kTime, kAny, 0, kMaxTimeMs},
    {"correlation", MemberType::kText, kAny, 1, 128},
    {"gateway", MemberType::kText, kAny, 1, 128},
    {"shop", MemberType::kText, kAny, 1, 128},
    {"state", MemberType::kText, Of(EventKind::kStatus), 0, 0, kStates},
    {"text", MemberType::kText, Of(EventKind::kStatus) | Of(EventKind::kAlarm), 0, 1024},
    {"attributes", MemberType::kAttributes, Of(EventKind::kStatus), 0, 0},
    {"values", MemberType::kValues, Of(EventKind::kTelemetry), 0, 0},
    {"code", MemberType::kText, Of(EventKind::kAlarm), 1, 64},
    {"severity", MemberType::kText, Of(EventKind::kAlarm), 0, 0, kSeverities},
    {"cleared", MemberType::kBool, Of(EventKind::kAlarm), 0, 1},
    {"product", MemberType::kText, kGoods, 1, 128},
    {"selection", MemberType::kText, kGoods, 1, 64},
    {"quantity", MemberType::kInteger, Of(EventKind::kSale) | Of(EventKind::kRefill), 1, 1'000'000},
    {"price", MemberType::kInteger, Of(EventKind::kSale) | Of(EventKind::kPriceChange), 0, 1'000'000'000'000},
    {"currency", MemberType::kText, Of(EventKind::kSale) | Of(EventKind::kPriceChange), 3, 3},
    {"payment", MemberType::kText, Of(EventKind::kSale), 1, 64},
    {"transaction", MemberType::kText, Of(EventKind::kSale), 1, 128},
    {"level", MemberType::kInteger, Of(EventKind::kStockCount), 0, 1'000'000'000},
    {"user", MemberType::kText, kPeople, 1, 64},
    {"direction", MemberType::kText, Of(EventKind::kPunch), 0, 0, kDirections},
    {"verified", MemberType::kText, kPeople, 0, 0, kVerified},
    {"phase", MemberType::kText, Of(EventKind::kBreak), 0, 0, kPhases},
    {"command", MemberType::kText, Of(EventKind::kCommandResult), 1, 128},
    {"ok", MemberType::kBool, Of(EventKind::kCommandResult), 0, 1},
    {"detail", MemberType::kText, Of(EventKind::kCommandResult), 0, 1024},
};

const Spec& SpecOf(Member member) { return kSpecs[static_cast<int>(member)]; }

constexpr uint64_t Bit(Member member) { return 1ULL << static_cast<int>(member); }

// Members without which a kind says nothing.
constexpr uint64_t RequiredBy(EventKind kind) {
  switch (kind) {
    case EventKind::kStatus: return Bit(Member::kState);
    case EventKind::kTelemetry: return Bit(Member::kValues);
    case EventKind::kAlarm: return Bit(Member::kCode);
    case EventKind::kSale: return 0;
    case EventKind::kRefill: return Bit(Member::kQuantity);
    case EventKind::kStockCount: return Bit(Member::kLevel);
    case EventKind::kPriceChange: return Bit(Member::kPrice);
    case EventKind::kPunch: return Bit(Member::kUser);
    case EventKind::kBreak: return Bit(Member::kUser) | Bit(Member::kPhase);
    case EventKind::kCommandResult: return Bit(Member::kCommand) | Bit(Member::kOk);
  }
  return 0;
}

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

// Names of attributes and measurements.
bool IsFieldName(std::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  for (char c : name) {
    if (!IsNameCharacter(c)) return false;
  }
  return true;
}

// Text for people may have line breaks and tabs; nothing may have other control characters (NUL ends texts in PostgreSQL).
bool HasControlCharacter(std::string_view text, bool for_people) {
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0x7f || (byte < 0x20 && !(for_people && (c == '\n' || c == '\t')))) return true;
  }
  return false;
}

absl::Status MustBe(Member member) {
  return absl::InvalidArgumentError(StrCat(MemberName(member), ": must be ", AllowedIn(member)));
}

absl::Status FieldNameError(std::string_view member) {
  return absl::InvalidArgumentError(StrCat(member, ": a name must be 1 to 64 of A-Z a-z 0-9 . _ -"));
}

}  // namespace

std::optional<EventKind> EventKindOf(std::string_view name) {
  for (size_t i = 0; i < kKindNames.size(); ++i) {
    if (kKindNames[i] == name) return static_cast<EventKind>(i);
  }
  return std::nullopt;
}

std::string_view EventKindName(EventKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

bool IsPersonal(EventKind kind) { return kind == EventKind::kPunch || kind == EventKind::kBreak; }

std::string EventKindNames() {
  std::string all;
  for (std::string_view name : kKindNames) all += StrCat(all.empty() ? std::string_view() : ", ", name);
  return all;
}

bool IsDeviceName(std::string_view text) { return IsFieldName(text) && text.front() != '.'; }

std::optional<Member> MemberOf(std::string_view name) {
  for (int i = 0; i < kMemberCount; ++i) {
    if (kSpecs[i].name == name) return static_cast<Member>(i);
  }
  return std::nullopt;
}

std::string_view MemberName(Member member) { return SpecOf(member).name; }

MemberType TypeOf(Member member) { return SpecOf(member).type; }

std::string AllowedIn(Member member) {
  const Spec& spec = SpecOf(member);
  if (member == Member::kCurrency) return "three capital letters (ISO 4217)";
  switch (spec.type) {
    case MemberType::kInteger: return StrCat("an integer from ", spec.least, " to ", spec.most);
    case MemberType::kBool: return "true or false";
    case MemberType::kTime: return "Unix milliseconds (an integer) or RFC 3339 text with an offset, 1970 to 9999";
    case MemberType::kAttributes: return "an object of text";
    case MemberType::kValues: return "an object of numbers, text, booleans or {\"value\":…,\"unit\":…}";
    case MemberType::kText: break;
  }
  if (spec.words.empty()) return StrCat("text of ", spec.least, " to ", spec.most, " bytes without control characters");
  std::string words;
  for (const Word& word : spec.words) words += StrCat(words.empty() ? std::string_view("one of ") : ", ", word.text);
  return words;
}

std::string MembersOf(EventKind kind) {
  std::string all;
  for (const Spec& spec : kSpecs) {
    if (spec.kinds == kAny || (spec.kinds & Of(kind)) == 0) continue;
    all += StrCat(all.empty() ? std::string_view() : ", ", spec.name);
  }
  return all;
}

absl::Status EventFields::MarkSeen(Member member) {
  if (Has(member)) return absl::InvalidArgumentError(StrCat(MemberName(member), ": must be given only once"));
  seen_ |= Bit(member);
  return absl::OkStatus();
}

absl::Status EventFields::SetText(Member member, std::string_view value) {
  const Spec& spec = SpecOf(member);
  if (spec.type == MemberType::kTime) {
    const std::optional<int64_t> ms = ParseRfc3339(value);
    if (!ms || *ms < spec.least || *ms > spec.most) return MustBe(member);
    RETURN_IF_ERROR(MarkSeen(member));
    integer_[static_cast<int>(member)] = *ms;
    return absl::OkStatus();
  }
  if (spec.type != MemberType::kText) return MustBe(member);
  if (!spec.words.empty()) {
    for (const Word& word : spec.words) {
      if (word.text != value) continue;
      RETURN_IF_ERROR(MarkSeen(member));
      integer_[static_cast<int>(member)] = word.number;
      return absl::OkStatus();
    }
    return MustBe(member);
  }
  const auto bytes = static_cast<int64_t>(value.size());
  const bool for_people = member == Member::kText || member == Member::kDetail;
  if (bytes < spec.least || bytes > spec.most || HasControlCharacter(value, for_people)) return MustBe(member);
  if (member == Member::kCurrency) {
    for (char c : value) {
      if (c < 'A' || c > 'Z') return MustBe(member);
    }
  }
  RETURN_IF_ERROR(MarkSeen(member));
  TextOf(member).assign(value);
  return absl::OkStatus();
}

absl::Status EventFields::SetInteger(Member member, int64_t value) {
  const Spec& spec = SpecOf(member);
  if (spec.type != MemberType::kInteger && spec.type != MemberType::kTime) return MustBe(member);
  if (value < spec.least || value > spec.most) return MustBe(member);
  RETURN_IF_ERROR(MarkSeen(member));
  integer_[static_cast<int>(member)] = value;
  return absl::OkStatus();
}

absl::Status EventFields::SetBool(Member member, bool value) {
  if (TypeOf(member) != MemberType::kBool) return MustBe(member);
  RETURN_IF_ERROR(MarkSeen(member));
  integer_[static_cast<int>(member)] = value ? 1 : 0;
  return absl::OkStatus();
}

absl::Status EventFields::AddAttribute(std::string_view name, std::string_view value) {
  if (!IsFieldName(name)) return FieldNameError("attributes");
  if (value.size() > kMaxAttributeBytes || HasControlCharacter(value, false)) {
    return absl::InvalidArgumentError(
        StrCat("attributes.", name, ": must be text of at most ", kMaxAttributeBytes, " bytes without control characters"));
  }
  auto& attributes = *status_.mutable_attributes();
  if (attributes.size() >= kMaxAttributes) {
    return absl::InvalidArgumentError(StrCat("attributes: at most ", kMaxAttributes, " are allowed"));
  }
  auto [at, fresh] = attributes.insert({std::string(name), std::string()});
  if (!fresh) return absl::InvalidArgumentError(StrCat("attributes.", name, ": must be given only once"));
  at->second.assign(value);
  return absl::OkStatus();
}

absl::StatusOr<event::v1::Measurement*> EventFields::NewMeasurement(std::string_view name, std::string_view unit) {
  if (!IsFieldName(name)) return FieldNameError("values");
  if (telemetry_.measurements_size() >= kMaxMeasurements) {
    return absl::InvalidArgumentError(StrCat("values: at most ", kMaxMeasurements, " are allowed"));
  }
  for (const auto& other : telemetry_.measurements()) {
    if (other.name() == name) return absl::InvalidArgumentError(StrCat("values.", name, ": must be given only once"));
  }
  if (unit.size() > kMaxUnitBytes || HasControlCharacter(unit, false)) {
    return absl::InvalidArgumentError(
        StrCat("values.", name, ".unit: must be text of at most ", kMaxUnitBytes, " bytes without control characters"));
  }
  event::v1::Measurement* measurement = telemetry_.add_measurements();
  measurement->set_name(name.data(), name.size());
  if (!unit.empty()) measurement->set_unit(unit.data(), unit.size());
  return measurement;
}

absl::Status EventFields::AddNumber(std::string_view name, double value, std::string_view unit) {
  if (!std::isfinite(value)) {
    return absl::InvalidArgumentError(
        StrCat(IsFieldName(name) ? StrCat("values.", name) : std::string("values"), ": must be a finite number"));
  }
  ASSIGN_OR_RETURN(event::v1::Measurement * measurement, NewMeasurement(name, unit));
  measurement->set_number(value);
  return absl::OkStatus();
}

absl::Status EventFields::AddWord(std::string_view name, std::string_view value, std::string_view unit) {
  if (value.size() > kMaxMeasurementText || HasControlCharacter(value, false)) {
    return absl::InvalidArgumentError(StrCat(IsFieldName(name) ? StrCat("values.", name) : std::string("values"),
                                             ": text must have at most ", kMaxMeasurementText,
                                             " bytes and no control characters"));
  }
  ASSIGN_OR_RETURN(event::v1::Measurement * measurement, NewMeasurement(name, unit));
  measurement->set_text(value.data(), value.size());
  return absl::OkStatus();
}

absl::Status EventFields::AddFlag(std::string_view name, bool value, std::string_view unit) {
  ASSIGN_OR_RETURN(event::v1::Measurement * measurement, NewMeasurement(name, unit));
  measurement->set_flag(value);
  return absl::OkStatus();
}

Numbering EventFields::numbering() const {
  Numbering numbering;
  const bool has_boot = Has(Member::kBoot);
  const bool has_seq = Has(Member::kSeq);
  if (has_boot && has_seq && !Has(Member::kId)) {
    numbering.has_sequence = true;
    numbering.boot = static_cast<uint64_t>(IntegerOf(Member::kBoot));
    numbering.seq = static_cast<uint64_t>(IntegerOf(Member::kSeq));
  } else if (!has_boot && !has_seq && Has(Member::kId)) {
    numbering.message_id = text_[static_cast<int>(Member::kId)];
  }
  return numbering;
}

absl::Status EventFields::CheckMembers(EventKind kind) const {
  uint64_t missing = RequiredBy(kind) & ~seen_;
  for (int i = 0; i < kMemberCount; ++i) {
    const auto member = static_cast<Member>(i);
    if (Has(member) && (kSpecs[i].kinds & Of(kind)) == 0) {
      return absl::InvalidArgumentError(StrCat(kSpecs[i].name, ": not a member of ", EventKindName(kind),
                                               "; its own members are ", MembersOf(kind)));
    }
    if ((missing >> i) & 1) {
      return absl::InvalidArgumentError(
          StrCat(kSpecs[i].name, ": missing; ", EventKindName(kind), " needs it, ", AllowedIn(member)));
    }
  }
  if ((kGoods & Of(kind)) != 0 && !Has(Member::kProduct) && !Has(Member::kSelection)) {
    return absl::InvalidArgumentError(StrCat("product: missing; ", EventKindName(kind), " needs product or selection"));
  }
  if (Has(Member::kPrice) != Has(Member::kCurrency)) {
    return absl::InvalidArgumentError(Has(Member::kPrice) ? "currency: missing; a price needs it, three capital letters"
                                                          : "price: missing; a currency alone says nothing");
  }
  if (Has(Member::kId) && (Has(Member::kBoot) || Has(Member::kSeq))) {
    return absl::InvalidArgumentError("id: not allowed beside boot and seq; a message has one numbering");
  }
  if (Has(Member::kBoot) != Has(Member::kSeq)) {
    const auto absent = Has(Member::kBoot) ? Member::kSeq : Member::kBoot;
    return absl::InvalidArgumentError(StrCat(MemberName(absent), ": missing; boot and seq go together"));
  }
  if (kind == EventKind::kTelemetry && telemetry_.measurements().empty()) {
    return absl::InvalidArgumentError("values: must name at least one measurement");
  }
  return absl::OkStatus();
}

template <typename Message>
void EventFields::TakeItem(Message& message) {
  if (Has(Member::kProduct)) message.set_product_id(std::move(TextOf(Member::kProduct)));
  if (Has(Member::kSelection)) message.set_selection(std::move(TextOf(Member::kSelection)));
  if constexpr (requires { message.mutable_price(); }) {
    if (Has(Member::kPrice)) {
      message.mutable_price()->set_minor_units(IntegerOf(Member::kPrice));
      message.mutable_price()->set_currency(std::move(TextOf(Member::kCurrency)));
    }
  }
  if constexpr (requires { message.set_quantity(1); }) {
    message.set_quantity(Has(Member::kQuantity) ? IntegerOf(Member::kQuantity) : 1);
  }
}

absl::StatusOr<DecodedEvent> EventFields::Build(std::string_view device, EventKind kind) && {
  if (!IsDeviceName(device)) {
    return absl::InvalidArgumentError("device: must be 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot");
  }
  RETURN_IF_ERROR(CheckMembers(kind));
  absl::StatusOr<DecodedEvent> decoded(absl::in_place);
  event::v1::DeviceEvent& event = decoded->event;
  event.set_device_id(device.data(), device.size());
  if (Has(Member::kTime)) event.set_device_time_ms(IntegerOf(Member::kTime));
  if (Has(Member::kCorrelation)) event.set_correlation_id(std::move(TextOf(Member::kCorrelation)));
  if (Has(Member::kGateway)) event.set_gateway_id(std::move(TextOf(Member::kGateway)));
  if (Has(Member::kShop)) event.set_shop_id(std::move(TextOf(Member::kShop)));
  if (Has(Member::kId)) event.set_message_id(std::move(TextOf(Member::kId)));
  if (Has(Member::kSeq)) {
    event.mutable_sequence()->set_boot(static_cast<uint64_t>(IntegerOf(Member::kBoot)));
    event.mutable_sequence()->set_seq(static_cast<uint64_t>(IntegerOf(Member::kSeq)));
  }
  const auto verified = [this] {
    return static_cast<event::v1::VerifiedBy>(Has(Member::kVerified) ? IntegerOf(Member::kVerified) : 0);
  };
  switch (kind) {
    case EventKind::kStatus:
      status_.set_state(static_cast<Status::State>(IntegerOf(Member::kState)));
      if (Has(Member::kText)) status_.set_text(std::move(TextOf(Member::kText)));
      event.mutable_status()->Swap(&status_);
      break;
    case EventKind::kTelemetry:
      event.mutable_telemetry()->Swap(&telemetry_);
      break;
    case EventKind::kAlarm: {
      Alarm& alarm = *event.mutable_alarm();
      alarm.set_code(std::move(TextOf(Member::kCode)));
      alarm.set_severity(Has(Member::kSeverity) ? static_cast<Alarm::Severity>(IntegerOf(Member::kSeverity))
                                                : Alarm::SEVERITY_WARNING);
      if (Has(Member::kText)) alarm.set_text(std::move(TextOf(Member::kText)));
      alarm.set_cleared(Has(Member::kCleared) && IntegerOf(Member::kCleared) != 0);
      break;
    }
    case EventKind::kSale:
      TakeItem(*event.mutable_sale());
      if (Has(Member::kPayment)) event.mutable_sale()->set_payment(std::move(TextOf(Member::kPayment)));
      if (Has(Member::kTransaction)) event.mutable_sale()->set_transaction_id(std::move(TextOf(Member::kTransaction)));
      break;
    case EventKind::kRefill: TakeItem(*event.mutable_refill()); break;
    case EventKind::kStockCount:
      TakeItem(*event.mutable_stock_count());
      event.mutable_stock_count()->set_level(IntegerOf(Member::kLevel));
      break;
    case EventKind::kPriceChange: TakeItem(*event.mutable_price_change()); break;
    case EventKind::kPunch:
      event.mutable_punch()->set_user(std::move(TextOf(Member::kUser)));
      if (Has(Member::kDirection)) {
        event.mutable_punch()->set_direction(static_cast<Punch::Direction>(IntegerOf(Member::kDirection)));
      }
      event.mutable_punch()->set_verified_by(verified());
      break;
    case EventKind::kBreak:
      event.mutable_break_()->set_user(std::move(TextOf(Member::kUser)));
      event.mutable_break_()->set_phase(static_cast<Break::Phase>(IntegerOf(Member::kPhase)));
      event.mutable_break_()->set_verified_by(verified());
      break;
    case EventKind::kCommandResult:
      event.mutable_command_result()->set_command_id(std::move(TextOf(Member::kCommand)));
      event.mutable_command_result()->set_ok(IntegerOf(Member::kOk) != 0);
      if (Has(Member::kDetail)) event.mutable_command_result()->set_detail(std::move(TextOf(Member::kDetail)));
      break;
  }
  return decoded;
}

}  // namespace sluice::devices
