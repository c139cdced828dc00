// The three services' read methods and their buses in the test's process, behind mutual TLS on a real port.
#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "sluice/attendance/v1/attendance.grpc.pb.h"
#include "sluice/bus/v1/bus.grpc.pb.h"
#include "sluice/ingest/v1/dead_letters.grpc.pb.h"
#include "sluice/inventory/v1/inventory.grpc.pb.h"
#include "sluice/shop/v1/shop.grpc.pb.h"
#include "tests/fakes/test_certificates.h"

namespace sluice::ctl {

// Pages of at most `page` rows, whatever is asked, so that paging shows. The token is the next row's index.
struct FakePages {
  size_t page = 2;

  template <typename Row, typename Add>
  std::string Serve(const std::vector<Row>& rows, const std::string& token, Add add) const {
    size_t at = token.empty() ? 0 : std::stoul(token);
    const size_t end = std::min(rows.size(), at + page);
    for (; at < end; ++at) add(rows[at]);
    return end < rows.size() ? std::to_string(end) : "";
  }
};

class FakeCloud {
 public:
  // Serves at once; `port` 0 takes a free one.
  explicit FakeCloud(const fakes::TestAuthority& authority, int port = 0)
      : shop_(*this), inventory_(*this), attendance_(*this), bus_(*this), letters_(*this) {
    const auto certificate = authority.IssueService("all");
    grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = authority.certificate_pem();
    tls.pem_key_cert_pairs.push_back({certificate.private_key_pem, certificate.certificate_pem});
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::SslServerCredentials(tls), &port_);
    builder.RegisterService(&shop_);
    builder.RegisterService(&inventory_);
    builder.RegisterService(&attendance_);
    builder.RegisterService(&bus_);
    builder.RegisterService(&letters_);
    server_ = builder.BuildAndStart();
  }
  ~FakeCloud() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    server_->Shutdown(std::chrono::system_clock::now());
  }

  int port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  void Publish(const std::string& envelope_json) {
    std::lock_guard lock(mutex_);
    envelopes_.push_back(envelope_json);
    changed_.notify_all();
  }

  FakePages pages;
  std::vector<shop::v1::Device> devices;
  std::vector<inventory::v1::StockLevel> levels;
  std::vector<attendance::v1::Punch> punches;
  // All services have the same ones. A requeue ends as `outcome` says.
  std::vector<ingest::v1::GetDeadLetterResponse> letters;
  ingest::v1::RequeueDeadLetterResponse outcome;
  std::vector<std::string> dropped;   // "<id>: <reason>"

 private:
  struct Shop final : shop::v1::ShopService::Service {
    explicit Shop(FakeCloud& owner) : cloud(owner) {}
    grpc::Status ListDevices(grpc::ServerContext*, const shop::v1::ListDevicesRequest* request,
                             shop::v1::ListDevicesResponse* response) override {
      if (request->shop_id() == "forbidden") return {grpc::StatusCode::PERMISSION_DENIED, "not your shop"};
      response->set_next_page_token(cloud.pages.Serve(cloud.devices, request->page_token(),
                                                      [&](const auto& row) { *response->add_devices() = row; }));
      return grpc::Status::OK;
    }
    FakeCloud& cloud;
  };
  struct Inventory final : inventory::v1::InventoryService::Service {
    explicit Inventory(FakeCloud& owner) : cloud(owner) {}
    grpc::Status GetStock(grpc::ServerContext*, const inventory::v1::GetStockRequest* request,
                          inventory::v1::GetStockResponse* response) override {
      std::vector<inventory::v1::StockLevel> rows;
      for (const auto& level : cloud.levels) {
        if (request->product_id().empty() || request->product_id() == level.product_id()) rows.push_back(level);
      }
      response->set_next_page_token(cloud.pages.Serve(rows, request->page_token(),
                                                      [&](const auto& row) { *response->add_levels() = row; }));
      return grpc::Status::OK;
    }
    FakeCloud& cloud;
  };
  struct Attendance final : attendance::v1::AttendanceService::Service {
    explicit Attendance(FakeCloud& owner) : cloud(owner) {}
    grpc::Status ListPunches(grpc::ServerContext*, const attendance::v1::ListPunchesRequest* request,
                             attendance::v1::ListPunchesResponse* response) override {
      std::vector<attendance::v1::Punch> rows;
      for (const auto& punch : cloud.punches) {
        if (request->employee_id().empty() || request->employee_id() == punch.employee_id()) rows.push_back(punch);
      }
      response->set_next_page_token(cloud.pages.Serve(rows, request->page_token(),
                                                      [&](const auto& row) { *response->add_punches() = row; }));
      return grpc::Status::OK;
    }
    FakeCloud& cloud;
  };
  struct Letters final : ingest::v1::DeadLetters::Service {
    explicit Letters(FakeCloud& owner) : cloud(owner) {}
    grpc::Status ListDeadLetters(grpc::ServerContext*, const ingest::v1::ListDeadLettersRequest* request,
                                 ingest::v1::ListDeadLettersResponse* response) override {
      std::vector<ingest::v1::DeadLetter> rows;
      for (const auto& letter : cloud.letters) {
        const auto& row = letter.dead_letter();
        if (request->gateway_id().empty() || request->gateway_id() == row.gateway_id()) rows.push_back(row);
      }
      response->set_next_page_token(cloud.pages.Serve(rows, request->page_token(),
                                                      [&](const auto& row) { *response->add_dead_letters() = row; }));
      return grpc::Status::OK;
    }
    grpc::Status GetDeadLetter(grpc::ServerContext*, const ingest::v1::GetDeadLetterRequest* request,
                               ingest::v1::GetDeadLetterResponse* response) override {
      for (const auto& letter : cloud.letters) {
        if (letter.dead_letter().id() != request->id()) continue;
        *response = letter;
        return grpc::Status::OK;
      }
      return {grpc::StatusCode::NOT_FOUND, "no such dead letter"};
    }
    grpc::Status RequeueDeadLetter(grpc::ServerContext*, const ingest::v1::RequeueDeadLetterRequest*,
                                   ingest::v1::RequeueDeadLetterResponse* response) override {
      *response = cloud.outcome;
      return grpc::Status::OK;
    }
    grpc::Status DropDeadLetter(grpc::ServerContext*, const ingest::v1::DropDeadLetterRequest* request,
                                ingest::v1::DropDeadLetterResponse*) override {
      cloud.dropped.push_back(request->id() + ": " + request->reason());
      return grpc::Status::OK;
    }
    FakeCloud& cloud;
  };
  struct Bus final : bus::v1::EventBus::Service {
    explicit Bus(FakeCloud& owner) : cloud(owner) {}
    grpc::Status Tail(grpc::ServerContext*, const bus::v1::TailRequest* request,
                      grpc::ServerWriter<bus::v1::TailResponse>* writer) override {
      std::unique_lock lock(cloud.mutex_);
      size_t at = request->position();
      if (request->last() > 0) at = cloud.envelopes_.size() - std::min<size_t>(request->last(), cloud.envelopes_.size());
      for (;;) {
        for (; at < cloud.envelopes_.size(); ++at) {
          bus::v1::TailResponse response;
          response.set_position(at + 1);
          response.set_envelope_json(cloud.envelopes_[at]);
          if (!writer->Write(response)) return grpc::Status::CANCELLED;
        }
        if (!request->follow()) return grpc::Status::OK;
        cloud.changed_.wait(lock, [&] { return cloud.stopping_ || at < cloud.envelopes_.size(); });
        if (cloud.stopping_) return {grpc::StatusCode::UNAVAILABLE, "stopping"};
      }
    }
    FakeCloud& cloud;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> envelopes_;   // under mutex_; position n is envelopes_[n - 1]
  bool stopping_ = false;                // under mutex_
  Shop shop_;
  Inventory inventory_;
  Attendance attendance_;
  Bus bus_;
  Letters letters_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace sluice::ctl
