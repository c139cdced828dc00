// What the shop service does with device events: devices, their status and when they were last seen.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "cloud/ingest/apply.h"
#include "cloud/shop/recent_ids.h"
#include "cloud/store/migration.h"

namespace sluice::shop {

store::Component Schema();

// online, offline, degraded, out_of_service; empty if unspecified
std::string_view StatusName(event::v1::Status::State state);

// Queues shop-urgent (alarm, command result) and shop-bulk (status, telemetry). A status becomes DeviceStatusUpdated, all
// else DeviceDataReceived. Device rows are gathered and written once per batch. Alarms and command results have a row each;
// of status and telemetry the newest are remembered, so that a repeat is not published again.
class DeviceApplier final : public ingest::Applier {
 public:
  absl::Status Apply(store::Transaction& transaction, const ingest::Origin& origin,
                     const event::v1::DeviceEvent& event, eventbus::Writer& events) override;
  absl::Status Flush(store::Transaction& transaction, eventbus::Writer& events) override;
  void Discard() override;
  void Committed() override { recent_.Commit(); }

 private:
  struct Seen {
    std::string shop, device, gateway, status, status_text;   // no status: unchanged
    int64_t last_ms = 0;
  };

  absl::Status ApplyStatus(store::Transaction& transaction, const ingest::Origin& origin,
                           const event::v1::DeviceEvent& event, eventbus::Writer& events);
  // Alarm or command result. False: it had its effect before. `fresh`: its id is none of the recent ones.
  absl::StatusOr<bool> InsertFact(store::Transaction& transaction, const ingest::Origin& origin,
                                  const event::v1::DeviceEvent& event, bool fresh);
  Seen& Note(const ingest::Origin& origin, const event::v1::DeviceEvent& event);

  absl::flat_hash_map<std::string, Seen> seen_;   // by "shop/device"
  RecentIds recent_;
  // Keep their capacity.
  std::string key_, body_;
  std::vector<const event::v1::Measurement*> measurements_;
  eventbus::Event event_;
};

}  // namespace sluice::shop
