// Events for the rest of the ERP: written into the service's own store in the transaction of the effect, published from
// there at least once, in order per entity, under an eventId that stays the same however often the event is applied.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/item.h"
#include "cloud/store/store.h"

namespace sluice::eventbus {

// One event of the ERP (the envelope of the domain). `data_json` is a complete JSON object.
struct Event {
  std::string type;             // StockUpdated
  std::string version = "1.0";
  int64_t timestamp_ms = 0;     // of the occurrence; published as seconds with milliseconds as decimals
  std::string correlation_id;
  std::string causation_id;     // empty: null
  std::string entity;           // the ordering key: shop/product, device, employee
  std::string data_json;
  EventId cause;                // event_id of the device event
  uint32_t ordinal = 0;         // which of the events of one cause and type
};

// Fills the outbox table of the bus within a transaction. eventId = UUIDv5(cause, type, ordinal).
class Writer {
 public:
  virtual ~Writer() = default;
  virtual absl::Status Write(store::Transaction& transaction, const Event& event) = 0;
};

// Where published events go: the JSON-lines file, a stream, a broker. The relay calls it from one thread.
class Publisher {
 public:
  virtual ~Publisher() = default;
  // The envelope as one line of JSON. OK when the bus has it for good.
  virtual absl::Status Publish(uint64_t position, const std::string& entity, const std::string& envelope_json) = 0;
  // Everything published so far is durable.
  virtual absl::Status Flush() = 0;
};

}  // namespace sluice::eventbus
