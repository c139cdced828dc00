// What applying costs: batches straight into the cursor store, with and without the relay, no network.
// usage: apply_bench <folder on a real disk> [events per kind] [batch] [status|telemetry|sale]
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "base/clock.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/uuid.h"
#include "cloud/eventbus/json_lines_file.h"
#include "cloud/eventbus/outbox_writer.h"
#include "cloud/eventbus/relay.h"
#include "cloud/ingest/sql_cursor_store.h"
#include "cloud/inventory/stock_applier.h"
#include "cloud/shop/device_applier.h"
#include "cloud/store/store.h"

namespace sluice {
namespace {

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void Die(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

void Bench(const char* name, const std::string& folder, store::Component schema, ingest::Applier& applier, Queue queue,
           size_t count, size_t batch, bool with_relay,
           const std::function<void(event::v1::DeviceEvent&, size_t)>& fill) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  SystemClock clock;
  SystemRandom random;
  auto store = store::Store::Open({.path = folder + "/bench.db"}, {eventbus::Schema(), ingest::Schema(), schema});
  Die(store.status());
  eventbus::FreshRows fresh((*store)->committed_position());
  eventbus::OutboxWriter writer("shop-service", with_relay ? &fresh : nullptr);
  eventbus::JsonLinesFile file({.path = folder + "/events.jsonl"});
  std::unique_ptr<eventbus::Relay> relay;
  if (with_relay) {
    auto started = eventbus::Relay::Start({}, **store, file, [](const absl::Status& status) { Die(status); }, &fresh);
    Die(started.status());
    relay = *std::move(started);
  }
  auto cursors = ingest::SqlCursorStore::Open({}, **store, applier, writer, clock, random);
  Die(cursors.status());
  const Epoch epoch{.id = Uuid8Of("epoch"), .ordinal = 1, .gateway = "gw-0001", .shop = "shop-0001"};
  auto opening = (*cursors)->OpenFor("shop-0001", "gw-0001", queue, "box", {epoch});
  Die(opening.status());

  std::vector<std::vector<Item>> batches;
  for (size_t i = 0; i < count; ++i) {
    if (i % batch == 0) batches.emplace_back();
    const size_t device = i % 50;
    event::v1::DeviceEvent event;
    event.set_event_id(std::string(Uuid8Of(StrCat(name, i)).View()));
    event.set_device_id(StrCat("vm-", 1000 + device));
    event.set_device_time_ms(1'700'000'000'000 + static_cast<int64_t>(i));
    event.set_received_time_ms(1'700'000'000'000);
    event.set_boot_id(std::string(16, 'b'));
    event.set_since_boot_ms(static_cast<int64_t>(i));
    event.mutable_sequence()->set_boot(3);
    event.mutable_sequence()->set_seq(i / 50 + 1);
    fill(event, i);
    Item item;
    item.first = item.last = i + 1;
    item.bytes = event.SerializeAsString();
    batches.back().push_back(std::move(item));
  }

  const double cpu = CpuSeconds();
  const auto begin = std::chrono::steady_clock::now();
  for (const auto& items : batches) Die((*cursors)->Apply(opening->lease, epoch.id, items).status());
  const double applied = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  relay.reset();
  const double published = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double used = CpuSeconds() - cpu;
  std::printf("%-10s batch %4zu %-10s %7.2f us/event wall, %7.2f us/event cpu, %8.0f events/s, published after %.2f s\n",
              name, batch, with_relay ? "with relay" : "no relay", applied * 1e6 / static_cast<double>(count),
              used * 1e6 / static_cast<double>(count), static_cast<double>(count) / applied, published);
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s <folder> [events] [batch] [kind]\n", argv[0]);
    return 2;
  }
  const std::string folder = std::string(argv[1]) + "/apply_bench";
  const size_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;
  const size_t batch = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 512;
  const std::string_view only = argc > 4 ? argv[4] : "";
  using sluice::event::v1::DeviceEvent;
  const auto status = [](DeviceEvent& event, size_t) {
    event.mutable_status()->set_state(sluice::event::v1::Status::STATE_ONLINE);
    event.mutable_status()->set_text("door closed");
  };
  const auto telemetry = [](DeviceEvent& event, size_t i) {
    for (const char* name : {"temperature", "humidity", "weight"}) {
      auto* measurement = event.mutable_telemetry()->add_measurements();
      measurement->set_name(name);
      measurement->set_number(static_cast<double>(i % 97) / 10);
      measurement->set_unit("Cel");
    }
  };
  const auto sale = [](DeviceEvent& event, size_t i) {
    event.mutable_sale()->set_product_id(sluice::StrCat("product-", i % 40));
    event.mutable_sale()->set_selection(sluice::StrCat("A", i % 40));
    event.mutable_sale()->set_quantity(1);
    event.mutable_sale()->mutable_price()->set_minor_units(150);
    event.mutable_sale()->mutable_price()->set_currency("EUR");
    event.mutable_sale()->set_payment("card");
  };
  sluice::shop::DeviceApplier devices;
  sluice::inventory::StockApplier stock;
  const auto bench = [&](const char* kind, auto schema, sluice::ingest::Applier& applier, sluice::Queue queue,
                         size_t events, size_t items, bool relay, const auto& fill) {
    if (!only.empty() && only != kind) return;
    sluice::Bench(kind, folder, schema(), applier, queue, events, items, relay, fill);
  };
  for (const bool relay : {false, true}) {
    bench("status", sluice::shop::Schema, devices, sluice::Queue::kShopBulk, count, batch, relay, status);
    bench("telemetry", sluice::shop::Schema, devices, sluice::Queue::kShopBulk, count, batch, relay, telemetry);
    bench("sale", sluice::inventory::Schema, stock, sluice::Queue::kInventory, count, batch, relay, sale);
  }
  bench("status", sluice::shop::Schema, devices, sluice::Queue::kShopBulk, count / 50, 1, true, status);
  std::filesystem::remove_all(folder);
  return 0;
}
