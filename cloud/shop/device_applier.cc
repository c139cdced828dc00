#include "cloud/shop/device_applier.h"

#include <algorithm>

#include "base/status.h"
#include "cloud/ingest/effect.h"

namespace sluice::shop {
namespace {

using event::v1::DeviceEvent;

constexpr store::Sql kUpsertDevice{
    "INSERT INTO devices(shop_id, device_id, gateway_id, status, status_text, last_seen_ms) VALUES(?, ?, ?, ?, ?, ?) "
    "ON CONFLICT(shop_id, device_id) DO UPDATE SET gateway_id = excluded.gateway_id, "
    "status = CASE WHEN excluded.status = '' THEN devices.status ELSE excluded.status END, "
    "status_text = CASE WHEN excluded.status = '' THEN devices.status_text ELSE excluded.status_text END, "
    "last_seen_ms = CASE WHEN excluded.last_seen_ms > devices.last_seen_ms THEN excluded.last_seen_ms "
    "ELSE devices.last_seen_ms END",
    "ttttti"};
constexpr store::Sql kInsertFact{
    "INSERT INTO device_facts(position, shop_id, event_id, content, queue, device_id, boot, seq, kind, time_ms, code, "
    "severity, ok, detail) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT(shop_id, event_id) DO NOTHING",
    "ittttt" "iititt" "it"};
constexpr store::Sql kFactContent{"SELECT content FROM device_facts WHERE shop_id = ? AND event_id = ?", "tt", "t"};

using Measurements = std::vector<const event::v1::Measurement*>;

std::string_view SeverityName(event::v1::Alarm::Severity severity) {
  switch (severity) {
    case event::v1::Alarm::SEVERITY_INFO: return "info";
    case event::v1::Alarm::SEVERITY_WARNING: return "warning";
    case event::v1::Alarm::SEVERITY_CRITICAL: return "critical";
    default: return "";
  }
}

std::optional<int64_t> Column(bool present, uint64_t value) {
  if (!present) return std::nullopt;
  return static_cast<int64_t>(value);
}

void AppendTelemetry(std::string& out, const event::v1::Telemetry& telemetry, Measurements& sorted) {
  sorted.clear();
  for (const auto& measurement : telemetry.measurements()) sorted.push_back(&measurement);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name() < b->name(); });
  eventbus::JsonObject values(out);
  for (size_t i = 0; i < sorted.size(); ++i) {
    // A device that names one measurement twice: the last counts, as in a JSON object.
    if (i + 1 < sorted.size() && sorted[i + 1]->name() == sorted[i]->name()) continue;
    const event::v1::Measurement& measurement = *sorted[i];
    eventbus::JsonObject value(values.Value(std::string_view(measurement.name())));
    switch (measurement.value_case()) {
      case event::v1::Measurement::kNumber: value.Number("value", measurement.number()); break;
      case event::v1::Measurement::kText: value.Text("value", measurement.text()); break;
      case event::v1::Measurement::kFlag: value.Bool("value", measurement.flag()); break;
      case event::v1::Measurement::VALUE_NOT_SET: value.Value("value").append("null"); break;
    }
    if (!measurement.unit().empty()) value.Text("unit", measurement.unit());
    value.Close();
  }
  values.Close();
}

void AppendAlarm(std::string& out, const event::v1::Alarm& alarm) {
  eventbus::JsonObject object(out);
  object.Text("code", alarm.code())
      .Text("severity", SeverityName(alarm.severity()))
      .Text("text", alarm.text())
      .Bool("cleared", alarm.cleared());
  object.Close();
}

void AppendCommandResult(std::string& out, const event::v1::CommandResult& result) {
  eventbus::JsonObject object(out);
  object.Text("commandId", result.command_id()).Bool("ok", result.ok()).Text("detail", result.detail());
  object.Close();
}

}  // namespace

store::Component Schema() {
  return {"shop",
          {
#include "shop/schema.inc"
          }};
}

std::string_view StatusName(event::v1::Status::State state) {
  switch (state) {
    case event::v1::Status::STATE_ONLINE: return "online";
    case event::v1::Status::STATE_OFFLINE: return "offline";
    case event::v1::Status::STATE_DEGRADED: return "degraded";
    case event::v1::Status::STATE_OUT_OF_SERVICE: return "out_of_service";
    default: return "";
  }
}

absl::Status DeviceApplier::Apply(store::Transaction& transaction, const ingest::Origin& origin,
                                  const DeviceEvent& event, eventbus::Writer& events) {
  const bool urgent = event.has_alarm() || event.has_command_result();
  if (!urgent && !event.has_status() && !event.has_telemetry()) {
    return absl::InvalidArgumentError(StrCat(ingest::KindOf(event), ": not the shop service's"));
  }
  if (event.has_status() && StatusName(event.status().state()).empty()) {
    return absl::InvalidArgumentError("status.state: not set");
  }
  RETURN_IF_ERROR(recent_.Load(transaction));
  const bool fresh = recent_.Insert(origin.shop, *EventId::FromBytes(event.event_id()));
  if (urgent) {
    ASSIGN_OR_RETURN(const bool inserted, InsertFact(transaction, origin, event, fresh));
    if (!inserted) return absl::OkStatus();
  } else if (!fresh) {
    return absl::OkStatus();
  }
  if (event.has_status()) return ApplyStatus(transaction, origin, event, events);
  Note(origin, event);
  ingest::FillCause(origin, event, event_);
  body_.clear();
  if (event.has_telemetry()) {
    AppendTelemetry(body_, event.telemetry(), measurements_);
  } else if (event.has_alarm()) {
    AppendAlarm(body_, event.alarm());
  } else {
    AppendCommandResult(body_, event.command_result());
  }
  return ingest::WriteDeviceData(transaction, events, origin, event, event_, ingest::KindOf(event), body_);
}

absl::Status DeviceApplier::ApplyStatus(store::Transaction& transaction, const ingest::Origin& origin,
                                        const DeviceEvent& event, eventbus::Writer& events) {
  const std::string_view status = StatusName(event.status().state());
  Seen& seen = Note(origin, event);
  seen.status = status;
  seen.status_text = event.status().text();
  ingest::FillCause(origin, event, event_);
  event_.type = "DeviceStatusUpdated";
  event_.entity = key_;
  event_.data_json.clear();
  eventbus::JsonObject data(event_.data_json);
  data.Text("deviceId", event.device_id())
      .Text("shopId", origin.shop)
      .Text("status", status)
      .Seconds("lastSeen", event_.timestamp_ms);
  ingest::AppendOrigin(data, origin, event);
  data.Close();
  return events.Write(transaction, event_);
}

absl::StatusOr<bool> DeviceApplier::InsertFact(store::Transaction& transaction, const ingest::Origin& origin,
                                               const DeviceEvent& event, bool fresh) {
  const bool alarm = event.has_alarm();
  const std::string event_id = EventId::FromBytes(event.event_id())->ToHex();
  if (!fresh) {
    ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kFactContent, origin.shop, event_id));
    if (row == nullptr) return absl::AlreadyExistsError("conflict: same event_id, a status or telemetry before");
  }
  const std::string content = ingest::ContentOf(event);
  ASSIGN_OR_RETURN(
      const int64_t inserted,
      transaction.Run(kInsertFact, transaction.NextPosition(), origin.shop, event_id, content, QueueName(origin.queue),
                      event.device_id(), Column(event.has_sequence(), event.sequence().boot()),
                      Column(event.has_sequence(), event.sequence().seq()), ingest::KindOf(event),
                      ingest::TimeOf(event), alarm ? event.alarm().code() : event.command_result().command_id(),
                      alarm ? SeverityName(event.alarm().severity()) : std::string_view(),
                      alarm ? !event.alarm().cleared() : event.command_result().ok(),
                      alarm ? event.alarm().text() : event.command_result().detail()));
  if (inserted > 0) return true;
  RETURN_IF_ERROR(ingest::SameContent(transaction, kFactContent, origin.shop, event_id, content));
  return false;
}

DeviceApplier::Seen& DeviceApplier::Note(const ingest::Origin& origin, const DeviceEvent& event) {
  key_.assign(origin.shop).append("/").append(event.device_id());
  Seen& seen = seen_[key_];
  if (seen.device.empty()) {
    seen.shop = origin.shop;
    seen.device = event.device_id();
  }
  seen.gateway = origin.gateway;
  seen.last_ms = std::max(seen.last_ms, ingest::TimeOf(event));
  return seen;
}

absl::Status DeviceApplier::Flush(store::Transaction& transaction, eventbus::Writer& /*events*/) {
  for (const auto& [key, seen] : seen_) {
    RETURN_IF_ERROR(transaction
                        .Run(kUpsertDevice, seen.shop, seen.device, seen.gateway, seen.status, seen.status_text,
                             seen.last_ms)
                        .status());
  }
  seen_.clear();
  return absl::OkStatus();
}

void DeviceApplier::Discard() {
  seen_.clear();
  recent_.Rollback();
}

}  // namespace sluice::shop
