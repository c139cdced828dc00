// What the effects of all services have in common: time, identity and origin of the bus events that a device event causes.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "cloud/eventbus/event_bus.h"
#include "cloud/eventbus/json.h"
#include "cloud/ingest/apply.h"
#include "cloud/store/store.h"

namespace sluice::ingest {

// Unix ms: the device's clock where it told one, else the gateway's.
int64_t TimeOf(const event::v1::DeviceEvent& event);
// status, telemetry, alarm, sale, refill, stock_count, price_change, punch, break, command_result, clock_fix
std::string_view KindOf(const event::v1::DeviceEvent& event);
std::string_view VerifiedByName(event::v1::VerifiedBy verified_by);   // empty if unspecified

// Everything of `out` but type, entity and data. Keeps the capacity of its strings.
void FillCause(const Origin& origin, const event::v1::DeviceEvent& event, eventbus::Event& out);
// The member `origin` of data, by which the judge finds the device's own numbers again.
void AppendOrigin(eventbus::JsonObject& data, const Origin& origin, const event::v1::DeviceEvent& event);
// Writes DeviceDataReceived {deviceId, shopId, dataType, data, origin}; `cause` is from FillCause.
absl::Status WriteDeviceData(store::Transaction& transaction, eventbus::Writer& events, const Origin& origin,
                             const event::v1::DeviceEvent& event, eventbus::Event& cause, std::string_view data_type,
                             std::string_view data_json);

// Hexadecimal digest of kind, body and device time: two records under one event_id are the same if it is.
std::string ContentOf(const event::v1::DeviceEvent& event);

// After an INSERT … ON CONFLICT DO NOTHING that did nothing: `find` reads the content kept under the same key (t).
// OK if it is `content`; AlreadyExists if it is another.
absl::Status SameContent(store::Transaction& transaction, const store::Sql& find, const std::string& shop,
                         const std::string& event_id, const std::string& content);

// Where a service keeps its kinds in several tables: `find` reads the content kept under the same key in another one (t).
// AlreadyExists if there is a row, for then the id stands for an event of another kind.
absl::Status NotOfAnotherKind(store::Transaction& transaction, const store::Sql& find, const std::string& shop,
                              const std::string& event_id);

}  // namespace sluice::ingest
