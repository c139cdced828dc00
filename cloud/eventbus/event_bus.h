// Events for the rest of the ERP: written into the service's own store in the transaction of the effect, published from
// there at least once, in order per entity, under an eventId that stays the same however often the event is applied.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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

  // The device event that caused it, for the view `effects`.
  std::string queue, device_id, kind;
  std::optional<uint64_t> boot, seq;   // nothing where the device does not number
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
  // The envelope as one line of JSON. OK: taken over, the relay does not give it again; an error: not taken at all.
  virtual absl::Status Publish(uint64_t position, std::string_view entity, std::string_view envelope_json) = 0;
  // What was published so far is handed on, where it was gathered: consumers see it. Not yet durable.
  virtual absl::Status Push() = 0;
  // Everything published so far is durable.
  virtual absl::Status Flush() = 0;

  // What to note beside the position after Flush, so that Resume finds the place again. Its own words.
  virtual std::string Mark() const = 0;
  // Once, before the first Publish: what follows the mark was published by a run that ended before it could note it, and
  // will be published again. Empty: nothing was ever noted.
  virtual absl::Status Resume(const std::string& mark) = 0;
};

}  // namespace sluice::eventbus
