#include "cloud/inventory/stock_applier.h"

#include <algorithm>

#include "base/status.h"
#include "cloud/ingest/effect.h"

namespace sluice::inventory {
namespace {

using event::v1::DeviceEvent;

constexpr store::Sql kInsertMovement{
    "INSERT INTO stock_movements(position, shop_id, event_id, content, queue, device_id, boot, seq, kind, product_id, "
    "change, level, time_ms) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(shop_id, event_id) DO NOTHING",
    "ittttt" "iittiii"};
constexpr store::Sql kMovementContent{"SELECT content FROM stock_movements WHERE shop_id = ? AND event_id = ?", "tt",
                                      "t"};
constexpr store::Sql kReadLevel{"SELECT level, updated_ms FROM stock_levels WHERE shop_id = ? AND product_id = ?", "tt",
                                "ii"};
constexpr store::Sql kUpsertLevel{
    "INSERT INTO stock_levels(shop_id, product_id, level, updated_ms) VALUES(?, ?, ?, ?) "
    "ON CONFLICT(shop_id, product_id) DO UPDATE SET level = excluded.level, updated_ms = excluded.updated_ms",
    "ttii"};
constexpr store::Sql kInsertPrice{
    "INSERT INTO price_changes(position, shop_id, event_id, content, queue, device_id, boot, seq, product_id, "
    "minor_units, currency, time_ms) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT(shop_id, event_id) DO NOTHING",
    "ittttt" "iititi"};
constexpr store::Sql kPriceContent{"SELECT content FROM price_changes WHERE shop_id = ? AND event_id = ?", "tt", "t"};

// Far beyond any shelf, and sums of them stay within 64 bits.
constexpr int64_t kMaxQuantity = 1'000'000'000'000;

std::optional<int64_t> Column(bool present, uint64_t value) {
  if (!present) return std::nullopt;
  return static_cast<int64_t>(value);
}

void AppendPrice(eventbus::JsonObject& object, const event::v1::Money& price) {
  eventbus::JsonObject money(object.Value("price"));
  money.Number("minorUnits", price.minor_units()).Text("currency", price.currency());
  money.Close();
}

// Product, selection and quantity or level of the three kinds that move stock.
struct Movement {
  const std::string* product = nullptr;
  const std::string* selection = nullptr;
  int64_t number = 0;   // quantity, or for a count the level
};

absl::StatusOr<Movement> MovementOf(const DeviceEvent& event) {
  Movement movement;
  const char* field = "quantity";
  int64_t least = 1;
  if (event.has_sale()) {
    movement = {&event.sale().product_id(), &event.sale().selection(), event.sale().quantity()};
  } else if (event.has_refill()) {
    movement = {&event.refill().product_id(), &event.refill().selection(), event.refill().quantity()};
  } else {
    movement = {&event.stock_count().product_id(), &event.stock_count().selection(), event.stock_count().level()};
    field = "level";
    least = 0;
  }
  if (movement.number < least || movement.number > kMaxQuantity) {
    return absl::InvalidArgumentError(StrCat(ingest::KindOf(event), ".", field, ": ", movement.number, " is not ",
                                             least, " to ", kMaxQuantity));
  }
  if (movement.product->empty() && movement.selection->empty()) {
    return absl::InvalidArgumentError(StrCat(ingest::KindOf(event), ": neither product nor selection"));
  }
  return movement;
}

}  // namespace

store::Component Schema() {
  return {"inventory",
          {
#include "inventory/schema.inc"
          }};
}

std::string ProductOf(const std::string& device, const std::string& product_id, const std::string& selection) {
  return product_id.empty() ? StrCat("device:", device, "/selection:", selection) : product_id;
}

absl::Status StockApplier::Apply(store::Transaction& transaction, const ingest::Origin& origin,
                                 const DeviceEvent& event, eventbus::Writer& events) {
  if (event.has_price_change()) return ChangePrice(transaction, origin, event, events);
  if (!event.has_sale() && !event.has_refill() && !event.has_stock_count()) {
    return absl::InvalidArgumentError(StrCat(ingest::KindOf(event), ": not the inventory service's"));
  }
  ASSIGN_OR_RETURN(const Movement movement, MovementOf(event));
  return Move(transaction, origin, event, ProductOf(event.device_id(), *movement.product, *movement.selection), events);
}

absl::Status StockApplier::Move(store::Transaction& transaction, const ingest::Origin& origin, const DeviceEvent& event,
                                const std::string& product, eventbus::Writer& events) {
  ASSIGN_OR_RETURN(const Movement movement, MovementOf(event));
  ASSIGN_OR_RETURN(Level * level, FindLevel(transaction, origin.shop, product));
  const int64_t previous = level->level;
  const int64_t change = event.has_sale()     ? -movement.number
                         : event.has_refill() ? movement.number
                                              : movement.number - previous;
  int64_t now = 0;
  if (__builtin_add_overflow(previous, change, &now)) {
    return absl::InvalidArgumentError("the stock level would leave 64 bits");
  }
  const std::string event_id = EventId::FromBytes(event.event_id())->ToHex();
  RETURN_IF_ERROR(ingest::NotOfAnotherKind(transaction, kPriceContent, origin.shop, event_id));
  const std::string content = ingest::ContentOf(event);
  const int64_t time_ms = ingest::TimeOf(event);
  ASSIGN_OR_RETURN(const int64_t inserted,
                   transaction.Run(kInsertMovement, transaction.NextPosition(), origin.shop, event_id, content,
                                   QueueName(origin.queue), event.device_id(),
                                   Column(event.has_sequence(), event.sequence().boot()),
                                   Column(event.has_sequence(), event.sequence().seq()), ingest::KindOf(event), product,
                                   change, now, time_ms));
  if (inserted == 0) return ingest::SameContent(transaction, kMovementContent, origin.shop, event_id, content);
  level->level = now;
  level->updated_ms = std::max(level->updated_ms, time_ms);
  level->changed = true;

  ingest::FillCause(origin, event, event_);
  event_.type = "StockUpdated";
  event_.entity = key_;
  event_.data_json.clear();
  eventbus::JsonObject data(event_.data_json);
  data.Text("shopId", origin.shop)
      .Text("productId", product)
      .Number("newStock", now)
      .Number("previousStock", previous)
      .Number("change", change);
  ingest::AppendOrigin(data, origin, event);
  data.Close();
  RETURN_IF_ERROR(events.Write(transaction, event_));

  body_.clear();
  eventbus::JsonObject body(body_);
  body.Text("kind", event_.kind).Text("productId", product);
  if (!movement.selection->empty()) body.Text("selection", *movement.selection);
  body.Number(std::string_view(event.has_stock_count() ? "level" : "quantity"), movement.number);
  if (event.has_sale()) {
    const auto& sale = event.sale();
    if (sale.has_price()) AppendPrice(body, sale.price());
    if (!sale.payment().empty()) body.Text("payment", sale.payment());
    if (!sale.transaction_id().empty()) body.Text("transactionId", sale.transaction_id());
  }
  body.Close();
  return ingest::WriteDeviceData(transaction, events, origin, event, event_, "stock_update", body_);
}

absl::Status StockApplier::ChangePrice(store::Transaction& transaction, const ingest::Origin& origin,
                                       const DeviceEvent& event, eventbus::Writer& events) {
  const auto& change = event.price_change();
  if (change.product_id().empty() && change.selection().empty()) {
    return absl::InvalidArgumentError("price_change: neither product nor selection");
  }
  if (!change.has_price() || change.price().minor_units() < 0) {
    return absl::InvalidArgumentError("price_change.price: missing or negative");
  }
  const std::string product = ProductOf(event.device_id(), change.product_id(), change.selection());
  const std::string event_id = EventId::FromBytes(event.event_id())->ToHex();
  RETURN_IF_ERROR(ingest::NotOfAnotherKind(transaction, kMovementContent, origin.shop, event_id));
  const std::string content = ingest::ContentOf(event);
  ASSIGN_OR_RETURN(
      const int64_t inserted,
      transaction.Run(kInsertPrice, transaction.NextPosition(), origin.shop, event_id, content, QueueName(origin.queue),
                      event.device_id(), Column(event.has_sequence(), event.sequence().boot()),
                      Column(event.has_sequence(), event.sequence().seq()), product, change.price().minor_units(),
                      change.price().currency(), ingest::TimeOf(event)));
  if (inserted == 0) return ingest::SameContent(transaction, kPriceContent, origin.shop, event_id, content);
  ingest::FillCause(origin, event, event_);
  body_.clear();
  eventbus::JsonObject body(body_);
  body.Text("productId", product);
  if (!change.selection().empty()) body.Text("selection", change.selection());
  AppendPrice(body, change.price());
  body.Close();
  return ingest::WriteDeviceData(transaction, events, origin, event, event_, "price_change", body_);
}

absl::StatusOr<StockApplier::Level*> StockApplier::FindLevel(store::Transaction& transaction, const std::string& shop,
                                                             const std::string& product) {
  key_.assign(shop).append("/").append(product);
  const auto [found, added] = levels_.try_emplace(key_);
  Level& level = found->second;
  if (!added) return &level;
  level.shop = shop;
  level.product = product;
  ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kReadLevel, shop, product));
  if (row != nullptr) {
    level.level = row->Int(0);
    level.updated_ms = row->Int(1);
  }
  return &level;
}

absl::Status StockApplier::Flush(store::Transaction& transaction, eventbus::Writer& /*events*/) {
  for (const auto& [key, level] : levels_) {
    if (!level.changed) continue;
    RETURN_IF_ERROR(
        transaction.Run(kUpsertLevel, level.shop, level.product, level.level, level.updated_ms).status());
  }
  levels_.clear();
  return absl::OkStatus();
}

}  // namespace sluice::inventory
