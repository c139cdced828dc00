#include "cloud/service_node.h"

#include <grpcpp/server_context.h>
#include <spdlog/spdlog.h>

#include <optional>
#include <utility>

#include "base/status.h"
#include "cloud/attendance/attendance_service.h"
#include "cloud/attendance/punch_applier.h"
#include "cloud/eventbus/json_lines_file.h"
#include "cloud/eventbus/outbox_writer.h"
#include "cloud/eventbus/relay.h"
#include "cloud/eventbus/tail_service.h"
#include "cloud/ingest/certified_store.h"
#include "cloud/ingest/sql_cursor_store.h"
#include "cloud/ingest/sync_service.h"
#include "cloud/inventory/inventory_service.h"
#include "cloud/inventory/stock_applier.h"
#include "cloud/retention/retention.h"
#include "cloud/service_schema.h"
#include "cloud/serving/authorize.h"
#include "cloud/serving/dead_letter_service.h"
#include "cloud/serving/server.h"
#include "cloud/shop/device_applier.h"
#include "cloud/shop/shop_service.h"
#include "cloud/store/store.h"

namespace sluice::cloud {
namespace {

using Authorize = std::function<grpc::Status(const grpc::CallbackServerContext&)>;

// What makes a service this one and not another.
struct Business {
  std::vector<Queue> queues;
  std::unique_ptr<ingest::Applier> applier;
  std::function<std::unique_ptr<grpc::Service>(store::Store&, Authorize)> methods;
};

template <typename Service>
auto Methods() {
  return [](store::Store& store, Authorize authorize) -> std::unique_ptr<grpc::Service> {
    return std::make_unique<Service>(store, std::move(authorize));
  };
}

absl::StatusOr<Business> BusinessOf(const std::string& service) {
  if (service == "shop") {
    return Business{{Queue::kShopUrgent, Queue::kShopBulk}, std::make_unique<shop::DeviceApplier>(),
                    Methods<shop::ShopService>()};
  }
  if (service == "inventory") {
    return Business{{Queue::kInventory}, std::make_unique<inventory::StockApplier>(),
                    Methods<inventory::InventoryService>()};
  }
  if (service == "attendance") {
    return Business{{Queue::kAttendance}, std::make_unique<attendance::PunchApplier>(),
                    Methods<attendance::AttendanceService>()};
  }
  return absl::InvalidArgumentError(StrCat("no such service: ", service));
}

class Node final : public ServiceNode {
 public:
  explicit Node(std::string service) : service_(std::move(service)) {}

  ~Node() override { Drain(); }

  absl::Status Start(const Config& config, const Clock& clock, Random& random,
                     const std::function<void(const std::string&)>& alarm) {
    drain_ms_ = config.drain_ms;
    ASSIGN_OR_RETURN(business_, BusinessOf(service_));
    const std::string base = StrCat(config.data_dir, "/", service_);
    ASSIGN_OR_RETURN(const std::vector<store::Component> schema, SchemaOf(service_));
    ASSIGN_OR_RETURN(store_, store::Store::Open({.path = base + ".db"}, schema));
    fresh_.emplace(store_->committed_position());
    writer_.emplace(service_ + "-service", &*fresh_);
    const std::string trust_domain = config.trust_domain;
    const Authorize reader = [trust_domain](const grpc::CallbackServerContext& context) {
      return serving::RequireReader(context, trust_domain);
    };
    tail_ = std::make_unique<eventbus::TailService>(*store_, reader);
    const auto alarm_of = [alarm](const absl::Status& status) { alarm(std::string(MessageOf(status))); };
    file_ = std::make_unique<eventbus::JsonLinesFile>(eventbus::JsonLinesOptions{.path = base + "-events.jsonl",
                                                                                .max_bytes = config.bus_file_bytes,
                                                                                .max_files = config.bus_files});
    const eventbus::RelayOptions relay_options;
    ASSIGN_OR_RETURN(relay_, eventbus::Relay::Start(relay_options, *store_, *file_, alarm_of, &*fresh_));
    ASSIGN_OR_RETURN(cursors_, ingest::SqlCursorStore::Open({.lease_ms = config.lease_ms, .alarm = alarm}, *store_,
                                                            *business_.applier, *writer_, clock, random));
    worker_ = std::make_unique<ingest::ApplyWorker>([this, alarm] {
      if (absl::Status status = store_->CheckpointWhenIdle(); !status.ok()) {
        alarm(StrCat("checkpoint: ", MessageOf(status)));
      }
    });
    retention_ = std::make_unique<retention::Retention>(
        retention::Options{.bus_days = config.bus_days,
                           .audit_days = config.audit_days,
                           .publishers = {relay_options.publisher}},
        *store_, clock);
    retention_->Start(alarm_of);
    ingest::SyncServiceOptions options;
    options.receiver.queues = business_.queues;
    options.receiver.credit_items = config.credit_items;
    options.receiver.credit_bytes = config.credit_bytes;
    options.receiver.lease_ms = config.lease_ms;
    options.receiver.lease_retry_ms = config.lease_ms / 5;
    // A transaction holds the others up: about 10 ms of work each.
    options.receiver.apply_max_items = 1'024;
    sync_ = std::make_unique<ingest::SyncService>(
        options,
        [trust_domain, service = service_](const grpc::CallbackServerContext& context) -> absl::StatusOr<ingest::Peer> {
          const absl::StatusOr<serving::Identity> identity = serving::RequireGateway(context, trust_domain);
          if (!identity.ok()) {
            spdlog::warn("{}: a stream of {} was refused: {}", service, context.peer(), MessageOf(identity.status()));
            return identity.status();
          }
          return ingest::Peer{.gateway = identity->name, .shop = identity->shop};
        },
        [this](const ingest::Peer& peer) {
          return std::make_unique<ingest::CertifiedStore>(peer.shop, *cursors_);
        },
        *worker_, clock);
    methods_ = business_.methods(*store_, reader);
    dead_letters_ = std::make_unique<serving::DeadLetterService>(
        *store_, *cursors_,
        [trust_domain](const grpc::CallbackServerContext& context) -> absl::StatusOr<std::string> {
          ASSIGN_OR_RETURN(const serving::Identity identity, serving::RequireOperator(context, trust_domain));
          return StrCat("operator/", identity.name);
        });
    ASSIGN_OR_RETURN(server_, serving::Server::Start({.address = config.listen.at(service_), .tls = config.tls},
                                                     {sync_.get(), tail_.get(), methods_.get(), dead_letters_.get()}));
    return absl::OkStatus();
  }

  std::string address() const override { return server_->address(); }

  void Drain() override {
    if (std::exchange(drained_, true)) return;
    if (server_ != nullptr) {
      sync_->Drain();
      tail_->Drain();
      server_->Shutdown(drain_ms_);
    }
    worker_.reset();
    retention_.reset();
    relay_.reset();
  }

  std::string Summary() const override {
    if (cursors_ == nullptr) return StrCat(service_, ": not started");
    const ingest::IngestFigures& figures = cursors_->figures();
    return StrCat(service_, ": ", figures.applied.load(), " applied in ", figures.transactions.load(),
                  " transactions, ", figures.skipped.load(), " skipped, ", figures.gaps.load(), " gaps, ",
                  figures.dead_letters.load(), " dead letters, ", figures.kept.load(), " kept");
  }

  absl::Status NewGeneration() override { return cursors_->NewGeneration(); }

 private:
  // In the order of construction; they end in the reverse order.
  const std::string service_;
  int64_t drain_ms_ = 0;
  bool drained_ = false;
  Business business_;
  std::unique_ptr<store::Store> store_;
  std::optional<eventbus::FreshRows> fresh_;
  std::optional<eventbus::OutboxWriter> writer_;
  std::unique_ptr<eventbus::TailService> tail_;
  std::unique_ptr<eventbus::JsonLinesFile> file_;
  std::unique_ptr<eventbus::Relay> relay_;
  std::unique_ptr<ingest::SqlCursorStore> cursors_;
  std::unique_ptr<ingest::ApplyWorker> worker_;
  std::unique_ptr<retention::Retention> retention_;
  std::unique_ptr<ingest::SyncService> sync_;
  std::unique_ptr<grpc::Service> methods_;
  std::unique_ptr<serving::DeadLetterService> dead_letters_;
  std::unique_ptr<serving::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ServiceNode>> ServiceNode::Start(const Config& config, const std::string& service,
                                                                const Clock& clock, Random& random,
                                                                std::function<void(const std::string&)> alarm) {
  auto node = std::make_unique<Node>(service);
  RETURN_IF_ERROR(WithContext(node->Start(config, clock, random, alarm), service));
  return node;
}

}  // namespace sluice::cloud
