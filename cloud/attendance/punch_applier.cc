#include "cloud/attendance/punch_applier.h"

#include "base/status.h"
#include "cloud/ingest/effect.h"

namespace sluice::attendance {
namespace {

using event::v1::DeviceEvent;

constexpr store::Sql kInsert{
    "INSERT INTO punches(position, shop_id, event_id, content, queue, device_id, boot, seq, event_kind, kind, employee, "
    "verified_by, time_ms) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(shop_id, event_id) DO NOTHING",
    "ittttt" "iittt" "ti"};
constexpr store::Sql kContent{"SELECT content FROM punches WHERE shop_id = ? AND event_id = ?", "tt", "t"};

struct Meaning {
  std::string_view kind;         // the column
  std::string_view event_type;   // empty: DeviceDataReceived
};

absl::StatusOr<Meaning> MeaningOf(const DeviceEvent& event) {
  if (event.has_punch()) {
    switch (event.punch().direction()) {
      case event::v1::Punch::DIRECTION_IN: return Meaning{"check_in", "CheckInRecorded"};
      case event::v1::Punch::DIRECTION_OUT: return Meaning{"check_out", "CheckOutRecorded"};
      case event::v1::Punch::DIRECTION_UNSPECIFIED: return Meaning{"punch", ""};
      default: return absl::InvalidArgumentError("punch.direction: unknown");
    }
  }
  if (event.has_break_()) {
    switch (event.break_().phase()) {
      case event::v1::Break::PHASE_STARTED: return Meaning{"break_start", "BreakStarted"};
      case event::v1::Break::PHASE_ENDED: return Meaning{"break_end", "BreakEnded"};
      default: return absl::InvalidArgumentError("break.phase: not set");
    }
  }
  return absl::InvalidArgumentError(StrCat(ingest::KindOf(event), ": not the attendance service's"));
}

std::optional<int64_t> Column(bool present, uint64_t value) {
  if (!present) return std::nullopt;
  return static_cast<int64_t>(value);
}

}  // namespace

store::Component Schema() {
  return {"attendance",
          {
#include "attendance/schema.inc"
          }};
}

absl::Status PunchApplier::Apply(store::Transaction& transaction, const ingest::Origin& origin,
                                 const DeviceEvent& event, eventbus::Writer& events) {
  ASSIGN_OR_RETURN(const Meaning meaning, MeaningOf(event));
  const std::string& user = event.has_punch() ? event.punch().user() : event.break_().user();
  if (user.empty()) return absl::InvalidArgumentError(StrCat(ingest::KindOf(event), ".user: empty"));
  const std::string_view verified =
      ingest::VerifiedByName(event.has_punch() ? event.punch().verified_by() : event.break_().verified_by());
  const std::string event_id = EventId::FromBytes(event.event_id())->ToHex();
  const std::string content = ingest::ContentOf(event);
  ASSIGN_OR_RETURN(
      const int64_t inserted,
      transaction.Run(kInsert, transaction.NextPosition(), origin.shop, event_id, content, QueueName(origin.queue),
                      event.device_id(), Column(event.has_sequence(), event.sequence().boot()),
                      Column(event.has_sequence(), event.sequence().seq()), ingest::KindOf(event), meaning.kind, user,
                      verified, ingest::TimeOf(event)));
  if (inserted == 0) return ingest::SameContent(transaction, kContent, origin.shop, event_id, content);

  ingest::FillCause(origin, event, event_);
  if (meaning.event_type.empty()) {
    body_.clear();
    eventbus::JsonObject body(body_);
    body.Text("employeeId", user).Seconds("time", event_.timestamp_ms);
    if (!verified.empty()) body.Text("verifiedBy", verified);
    body.Close();
    return ingest::WriteDeviceData(transaction, events, origin, event, event_, "punch", body_);
  }
  event_.type = meaning.event_type;
  event_.entity = StrCat(origin.shop, "/", user);
  event_.data_json.clear();
  eventbus::JsonObject data(event_.data_json);
  data.Text("employeeId", user)
      .Text("deviceId", event.device_id())
      .Text("shopId", origin.shop)
      .Seconds("time", event_.timestamp_ms);
  ingest::AppendOrigin(data, origin, event);
  data.Close();
  return events.Write(transaction, event_);
}

}  // namespace sluice::attendance
