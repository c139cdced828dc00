// What the inventory service does with device events: a ledger of movements and the levels that follow from it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "cloud/ingest/apply.h"
#include "cloud/store/migration.h"

namespace sluice::inventory {

store::Component Schema();

// Where a device sold without naming the product: "device:<device>/selection:<selection>".
std::string ProductOf(const std::string& device, const std::string& product_id, const std::string& selection);

// Queue inventory: sale, refill, stock count (StockUpdated and DeviceDataReceived stock_update) and price change
// (DeviceDataReceived price_change). Levels are gathered and written once per batch. A level may fall below zero: what
// was sold was sold, and the next count says what is there.
class StockApplier final : public ingest::Applier {
 public:
  absl::Status Apply(store::Transaction& transaction, const ingest::Origin& origin,
                     const event::v1::DeviceEvent& event, eventbus::Writer& events) override;
  absl::Status Flush(store::Transaction& transaction, eventbus::Writer& events) override;
  void Discard() override { levels_.clear(); }

 private:
  struct Level {
    std::string shop, product;
    int64_t level = 0;
    int64_t updated_ms = 0;
    bool changed = false;
  };

  absl::Status Move(store::Transaction& transaction, const ingest::Origin& origin,
                    const event::v1::DeviceEvent& event, const std::string& product, eventbus::Writer& events);
  absl::Status ChangePrice(store::Transaction& transaction, const ingest::Origin& origin,
                           const event::v1::DeviceEvent& event, eventbus::Writer& events);
  absl::StatusOr<Level*> FindLevel(store::Transaction& transaction, const std::string& shop,
                                   const std::string& product);

  absl::flat_hash_map<std::string, Level> levels_;   // of this batch, by "shop/product"
  // Keep their capacity.
  std::string key_, body_;
  eventbus::Event event_;
};

}  // namespace sluice::inventory
