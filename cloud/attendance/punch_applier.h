// What the attendance service does with device events: it keeps punches and breaks as the terminals recorded them.
#pragma once

#include <string>

#include "cloud/ingest/apply.h"
#include "cloud/store/migration.h"

namespace sluice::attendance {

store::Component Schema();

// Queue attendance. A punch with direction becomes CheckInRecorded or CheckOutRecorded, one without DeviceDataReceived
// punch (pairing decides later what it was); a break BreakStarted or BreakEnded.
class PunchApplier final : public ingest::Applier {
 public:
  absl::Status Apply(store::Transaction& transaction, const ingest::Origin& origin,
                     const event::v1::DeviceEvent& event, eventbus::Writer& events) override;
  absl::Status Flush(store::Transaction&, eventbus::Writer&) override { return absl::OkStatus(); }
  void Discard() override {}

 private:
  // Keep their capacity.
  std::string body_;
  eventbus::Event event_;
};

}  // namespace sluice::attendance
