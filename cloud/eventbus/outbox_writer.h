// The Writer over table bus_outbox: an event becomes its envelope here, once and for good.
#pragma once

#include <string>
#include <string_view>

#include "cloud/eventbus/event_bus.h"
#include "cloud/eventbus/fresh_rows.h"
#include "cloud/store/migration.h"

namespace sluice::eventbus {

// Tables bus_outbox, bus_relay and bus_trim, view last_position.
store::Component Schema();

// The envelope of the ERP as one line of JSON. Pure.
void AppendEnvelope(std::string& out, std::string_view source, const Event& event);

// Within the store's Write only, so for one thread at a time.
class OutboxWriter final : public Writer {
 public:
  // `source`: shop-service, inventory-service, attendance-service. `fresh` may be null: nobody reads from memory.
  explicit OutboxWriter(std::string source, FreshRows* fresh = nullptr) : source_(std::move(source)), fresh_(fresh) {}
  absl::Status Write(store::Transaction& transaction, const Event& event) override;

 private:
  const std::string source_;
  FreshRows* const fresh_;
  std::string envelope_;   // keeps its capacity
};

}  // namespace sluice::eventbus
