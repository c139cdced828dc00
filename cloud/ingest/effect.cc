#include "cloud/ingest/effect.h"

#include "base/status.h"
#include "base/uuid.h"

namespace sluice::ingest {

using event::v1::DeviceEvent;

namespace {

absl::Status Conflict() { return absl::AlreadyExistsError("conflict: same event_id, other content"); }

}  // namespace

int64_t TimeOf(const DeviceEvent& event) {
  return event.device_time_ms() > 0 ? event.device_time_ms() : event.received_time_ms();
}

std::string_view KindOf(const DeviceEvent& event) {
  switch (event.body_case()) {
    case DeviceEvent::kStatus: return "status";
    case DeviceEvent::kTelemetry: return "telemetry";
    case DeviceEvent::kAlarm: return "alarm";
    case DeviceEvent::kSale: return "sale";
    case DeviceEvent::kRefill: return "refill";
    case DeviceEvent::kStockCount: return "stock_count";
    case DeviceEvent::kPriceChange: return "price_change";
    case DeviceEvent::kPunch: return "punch";
    case DeviceEvent::kBreak: return "break";
    case DeviceEvent::kCommandResult: return "command_result";
    case DeviceEvent::kClockFix: return "clock_fix";
    case DeviceEvent::BODY_NOT_SET: break;
  }
  return "unknown";
}

std::string_view VerifiedByName(event::v1::VerifiedBy verified_by) {
  switch (verified_by) {
    case event::v1::VERIFIED_BY_FINGER: return "finger";
    case event::v1::VERIFIED_BY_FACE: return "face";
    case event::v1::VERIFIED_BY_CARD: return "card";
    case event::v1::VERIFIED_BY_PIN: return "pin";
    default: return "";
  }
}

void FillCause(const Origin& origin, const DeviceEvent& event, eventbus::Event& out) {
  out.cause = EventId::FromBytes(event.event_id()).value_or(EventId{});
  out.ordinal = 0;
  out.timestamp_ms = TimeOf(event);
  out.causation_id = out.cause.ToUuid();
  out.correlation_id = event.correlation_id().empty() ? out.causation_id : event.correlation_id();
  out.queue = QueueName(origin.queue);
  out.device_id = event.device_id();
  out.kind = KindOf(event);
  out.boot.reset();
  out.seq.reset();
  if (event.has_sequence()) {
    out.boot = event.sequence().boot();
    out.seq = event.sequence().seq();
  }
}

void AppendOrigin(eventbus::JsonObject& data, const Origin& origin, const DeviceEvent& event) {
  eventbus::JsonObject object(data.Value("origin"));
  object.Text("gatewayId", origin.gateway).Text("deviceId", event.device_id());
  if (event.has_sequence()) {
    object.Unsigned("boot", event.sequence().boot()).Unsigned("seq", event.sequence().seq());
  }
  object.Text("kind", KindOf(event));
  object.Close();
}

absl::Status WriteDeviceData(store::Transaction& transaction, eventbus::Writer& events, const Origin& origin,
                             const DeviceEvent& event, eventbus::Event& cause, std::string_view data_type,
                             std::string_view data_json) {
  cause.type = "DeviceDataReceived";
  cause.entity.assign(origin.shop).append("/").append(event.device_id());
  cause.data_json.clear();
  eventbus::JsonObject data(cause.data_json);
  data.Text("deviceId", event.device_id()).Text("shopId", origin.shop).Text("dataType", data_type);
  data.Value("data").append(data_json);
  AppendOrigin(data, origin, event);
  data.Close();
  return events.Write(transaction, cause);
}

std::string ContentOf(const DeviceEvent& event) {
  std::string content = StrCat(static_cast<int>(event.body_case()), "/", event.device_time_ms(), "/");
  // None of the kinds that have an effect row has a map, so one body has one encoding.
  switch (event.body_case()) {
    case DeviceEvent::kAlarm: event.alarm().AppendToString(&content); break;
    case DeviceEvent::kSale: event.sale().AppendToString(&content); break;
    case DeviceEvent::kRefill: event.refill().AppendToString(&content); break;
    case DeviceEvent::kStockCount: event.stock_count().AppendToString(&content); break;
    case DeviceEvent::kPriceChange: event.price_change().AppendToString(&content); break;
    case DeviceEvent::kPunch: event.punch().AppendToString(&content); break;
    case DeviceEvent::kBreak: event.break_().AppendToString(&content); break;
    case DeviceEvent::kCommandResult: event.command_result().AppendToString(&content); break;
    default: break;
  }
  return Uuid8Of(content).ToHex();
}

absl::Status SameContent(store::Transaction& transaction, const store::Sql& find, const std::string& shop,
                         const std::string& event_id, const std::string& content) {
  ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(find, shop, event_id));
  if (row == nullptr) return absl::InternalError("a conflict with no row under the key");
  if (row->Text(0) == content) return absl::OkStatus();
  return Conflict();
}

absl::Status NotOfAnotherKind(store::Transaction& transaction, const store::Sql& find, const std::string& shop,
                              const std::string& event_id) {
  ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(find, shop, event_id));
  return row == nullptr ? absl::OkStatus() : Conflict();
}

}  // namespace sluice::ingest
