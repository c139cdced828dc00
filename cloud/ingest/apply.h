// What a service does with an event: the one interface between the delivery machinery and the business.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/item.h"
#include "cloud/eventbus/event_bus.h"
#include "cloud/store/store.h"
#include "sluice/event/v1/event.pb.h"

namespace sluice::ingest {

// Where a record came from: certificate and key, never the body.
struct Origin {
  std::string gateway;
  std::string shop;         // of the record's epoch
  Epoch epoch;
  Queue queue = Queue::kShopBulk;
  uint64_t number = 0;
};

class Applier {
 public:
  virtual ~Applier() = default;
  // Inside the batch's transaction, once per record above the cursor, in order. Writes effect and bus events.
  // OK: has effect now, or had before (same event_id, same content).
  // InvalidArgument, FailedPrecondition, AlreadyExists (same event_id, other content): dead letter with the message as
  // its reason. Anything else: the store failed; the transaction is rolled back and tried again.
  virtual absl::Status Apply(store::Transaction& transaction, const Origin& origin,
                             const event::v1::DeviceEvent& event, eventbus::Writer& events) = 0;
  // Before commit: write what was gathered over the batch (for example one row per device instead of one per status).
  virtual absl::Status Flush(store::Transaction& transaction, eventbus::Writer& events) = 0;
  // The transaction was rolled back: forget what was gathered.
  virtual void Discard() = 0;
  // It was committed: what is remembered in memory holds.
  virtual void Committed() {}
};

}  // namespace sluice::ingest
