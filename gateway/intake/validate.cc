#include "gateway/intake/validate.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"
#include "gateway/intake/utf8.h"

namespace sluice::intake {
namespace {

using event::v1::DeviceEvent;

// How much of a refused value the answer quotes.
constexpr size_t kQuoted = 64;

absl::Status Bad(std::string_view field, std::string_view allowed) {
  return absl::InvalidArgumentError(StrCat(field, ": ", allowed));
}

absl::Status BadText(std::string_view field, std::string_view value, std::string_view allowed) {
  return absl::InvalidArgumentError(StrCat(field, " \"", Printable(value, kQuoted), "\": ", allowed));
}

// One line of at most `limit` bytes; empty is fine.
absl::Status CheckName(std::string_view field, std::string_view value, size_t limit) {
  if (value.size() > limit) return BadText(field, value, StrCat("at most ", limit, " bytes"));
  if (!IsPlainText(value)) return BadText(field, value, "must be UTF-8 without control characters");
  return absl::OkStatus();
}

absl::Status CheckRequiredName(std::string_view field, std::string_view value, size_t limit) {
  if (value.empty()) return Bad(field, "is missing");
  return CheckName(field, value, limit);
}

// For people: may have several lines. PostgreSQL takes no NUL.
absl::Status CheckText(std::string_view field, std::string_view value, size_t limit) {
  if (value.size() > limit) return BadText(field, value, StrCat("at most ", limit, " bytes"));
  if (!IsUtf8(value) || value.find('\0') != std::string_view::npos) return BadText(field, value, "must be UTF-8 without NUL");
  return absl::OkStatus();
}

absl::Status CheckRange(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(field, " ", value, ": must be from ", low, " to ", high));
}

absl::Status CheckProduct(std::string_view product, std::string_view selection) {
  if (product.empty() && selection.empty()) return Bad("product", "product or selection is needed");
  RETURN_IF_ERROR(CheckName("product", product, Limits::kName));
  return CheckName("selection", selection, Limits::kShortName);
}

absl::Status CheckMoney(const event::v1::Money& money) {
  RETURN_IF_ERROR(CheckRange("price", money.minor_units(), 0, Limits::kMinorUnits));
  const std::string& currency = money.currency();
  const bool code = currency.size() == 3 && std::all_of(currency.begin(), currency.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!currency.empty() && !code) return BadText("currency", currency, "must be three capital letters (ISO 4217)");
  return absl::OkStatus();
}

absl::Status CheckStatus(const event::v1::Status& status) {
  RETURN_IF_ERROR(CheckRange("state", status.state(), 1, event::v1::Status::State_MAX));
  RETURN_IF_ERROR(CheckText("text", status.text(), Limits::kText));
  RETURN_IF_ERROR(CheckRange("attributes", static_cast<int64_t>(status.attributes().size()), 0, Limits::kAttributes));
  for (const auto& [name, value] : status.attributes()) {
    RETURN_IF_ERROR(CheckRequiredName("attributes", name, Limits::kShortName));
    RETURN_IF_ERROR(CheckText(StrCat("attributes.", name), value, Limits::kValue));
  }
  return absl::OkStatus();
}

absl::Status CheckTelemetry(const event::v1::Telemetry& telemetry) {
  RETURN_IF_ERROR(CheckRange("values", telemetry.measurements_size(), 1, Limits::kMeasurements));
  for (const event::v1::Measurement& measurement : telemetry.measurements()) {
    RETURN_IF_ERROR(CheckRequiredName("values", measurement.name(), Limits::kShortName));
    RETURN_IF_ERROR(CheckName("unit", measurement.unit(), Limits::kUnit));
    switch (measurement.value_case()) {
      case event::v1::Measurement::kNumber:
        if (!std::isfinite(measurement.number())) return BadText("values", measurement.name(), "must be a finite number");
        break;
      case event::v1::Measurement::kText:
        RETURN_IF_ERROR(CheckText(StrCat("values.", measurement.name()), measurement.text(), Limits::kValue));
        break;
      case event::v1::Measurement::kFlag: break;
      case event::v1::Measurement::VALUE_NOT_SET: return BadText("values", measurement.name(), "has no value");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAlarm(const event::v1::Alarm& alarm) {
  RETURN_IF_ERROR(CheckRequiredName("code", alarm.code(), Limits::kName));
  RETURN_IF_ERROR(CheckRange("severity", alarm.severity(), 1, event::v1::Alarm::Severity_MAX));
  return CheckText("text", alarm.text(), Limits::kText);
}

absl::Status CheckSale(const event::v1::Sale& sale) {
  RETURN_IF_ERROR(CheckProduct(sale.product_id(), sale.selection()));
  RETURN_IF_ERROR(CheckRange("quantity", sale.quantity(), 1, Limits::kQuantity));
  if (sale.has_price()) RETURN_IF_ERROR(CheckMoney(sale.price()));
  RETURN_IF_ERROR(CheckName("payment", sale.payment(), Limits::kShortName));
  return CheckName("transaction", sale.transaction_id(), Limits::kName);
}

absl::Status CheckPerson(std::string_view user, int64_t verified_by) {
  RETURN_IF_ERROR(CheckRequiredName("user", user, Limits::kShortName));
  return CheckRange("verified", verified_by, 0, event::v1::VerifiedBy_MAX);
}

absl::Status CheckBody(const DeviceEvent& event) {
  switch (event.body_case()) {
    case DeviceEvent::kStatus: return CheckStatus(event.status());
    case DeviceEvent::kTelemetry: return CheckTelemetry(event.telemetry());
    case DeviceEvent::kAlarm: return CheckAlarm(event.alarm());
    case DeviceEvent::kSale: return CheckSale(event.sale());
    case DeviceEvent::kRefill:
      RETURN_IF_ERROR(CheckProduct(event.refill().product_id(), event.refill().selection()));
      return CheckRange("quantity", event.refill().quantity(), 1, Limits::kQuantity);
    case DeviceEvent::kStockCount:
      RETURN_IF_ERROR(CheckProduct(event.stock_count().product_id(), event.stock_count().selection()));
      return CheckRange("level", event.stock_count().level(), 0, Limits::kQuantity);
    case DeviceEvent::kPriceChange:
      RETURN_IF_ERROR(CheckProduct(event.price_change().product_id(), event.price_change().selection()));
      if (!event.price_change().has_price()) return Bad("price", "is missing");
      return CheckMoney(event.price_change().price());
    case DeviceEvent::kPunch:
      RETURN_IF_ERROR(CheckRange("direction", event.punch().direction(), 0, event::v1::Punch::Direction_MAX));
      return CheckPerson(event.punch().user(), event.punch().verified_by());
    case DeviceEvent::kBreak:
      RETURN_IF_ERROR(CheckRange("phase", event.break_().phase(), 1, event::v1::Break::Phase_MAX));
      return CheckPerson(event.break_().user(), event.break_().verified_by());
    case DeviceEvent::kCommandResult:
      RETURN_IF_ERROR(CheckRequiredName("command", event.command_result().command_id(), Limits::kName));
      return CheckText("detail", event.command_result().detail(), Limits::kText);
    case DeviceEvent::kClockFix: return Bad("kind", "a clock fix comes from the gateway alone");
    case DeviceEvent::BODY_NOT_SET: break;
  }
  return Bad("kind", "is missing");
}

absl::Status CheckNumbering(const DeviceEvent& event) {
  if (event.has_sequence()) {
    const auto& sequence = event.sequence();
    if (sequence.seq() == 0) return Bad("seq", "numbers begin at 1");
    if (sequence.seq() > Limits::kNumber) return Bad("seq", "must be below 2^63");
    if (sequence.boot() > Limits::kNumber) return Bad("boot", "must be below 2^63");
  }
  return CheckName("id", event.message_id(), Limits::kMessageId);
}

absl::Status CheckClaim(std::string_view field, std::string_view claimed, std::string_view own) {
  if (claimed.empty() || claimed == own) return absl::OkStatus();
  return absl::PermissionDeniedError(
      StrCat("foreign ", field, " \"", Printable(claimed, kQuoted), "\": this is \"", own, "\""));
}

}  // namespace

bool IsDeviceId(std::string_view id) {
  if (id.empty() || id.size() > Limits::kDeviceId || id.front() == '.') return false;
  return std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

absl::Status Validate(const DeviceEvent& event, std::string_view gateway, std::string_view shop) {
  if (!IsDeviceId(event.device_id())) {
    return BadText("device", event.device_id(), "must be 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot");
  }
  RETURN_IF_ERROR(CheckClaim("gateway", event.gateway_id(), gateway));
  RETURN_IF_ERROR(CheckClaim("shop", event.shop_id(), shop));
  RETURN_IF_ERROR(CheckNumbering(event));
  RETURN_IF_ERROR(CheckRange("time", event.device_time_ms(), 0, Limits::kLatestMs));
  RETURN_IF_ERROR(CheckName("correlation", event.correlation_id(), Limits::kName));
  return CheckBody(event);
}

}  // namespace sluice::intake
