// A daemon of the imagination, for tests of the control service and of sluicectl.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gateway/control/control_source.h"

namespace sluice::control {

class FakeControlSource final : public ControlSource {
 public:
  FakeControlSource() {
    status.set_gateway_id("gw-1");
    status.set_shop_id("shop-1");
    status.set_version("0.1.0");
    status.set_started_ms(1'700'000'000'000);
    status.set_epoch("00112233445566778899aabbccddeeff");
    status.set_accepted(1234);
    status.set_duplicates(5);
    status.set_rejected(2);
    status.set_clock_state("synced");
    status.set_devices(2);
    for (const char* name : {"inventory", "attendance", "shop-urgent", "shop-bulk"}) {
      auto* queue = status.add_queues();
      queue->set_name(name);
      queue->set_service("localhost:50051");
      queue->set_link("streaming");
      queue->set_ack_time_us(1850);
      queue->set_acknowledged(100);
      queue->set_last_number(100);
    }
    auto* source = status.add_sources();
    source->set_name("mqtt:main");
    source->set_state("connected");
    source->set_promise("safe at the receipt");
    source->set_events(1234);
    auto* device = devices.add_devices();
    device->set_device_id("vm-0001");
    device->set_source("mqtt:main");
    device->set_state("online");
    device->set_last_seen_ms(1'700'000'005'000);
    device->set_accepted(7);
    device->set_boot(3);
    device->set_last_seq(7);
  }

  v1::GetStatusResponse GetStatus() override { return status; }
  v1::ListDevicesResponse ListDevices() override { return devices; }
  v1::ListQueuesResponse ListQueues() override {
    v1::ListQueuesResponse response;
    *response.mutable_queues() = status.queues();
    return response;
  }
  absl::StatusOr<v1::TraceResponse> Trace(const EventId& id) override {
    if (id != known) return absl::NotFoundError("nothing is known of " + id.ToUuid());
    v1::TraceResponse response;
    response.set_event_id(id.ToUuid());
    response.set_device_id("vm-0001");
    response.set_kind("sale");
    response.set_queue("inventory");
    response.set_epoch("00112233445566778899aabbccddeeff");
    response.set_number(42);
    response.set_body_json(R"({"product":"cola","quantity":1})");
    int64_t at = 1'700'000'000'000;
    for (const char* name : {"received", "journalled", "sent", "acknowledged"}) {
      auto* step = response.add_steps();
      step->set_step(name);
      step->set_at_ms(at);
      at += 7;
    }
    return response;
  }
  v1::SyncNowResponse SyncNow() override {
    ++syncs;
    v1::SyncNowResponse response;
    response.add_queues("inventory");
    return response;
  }
  std::unique_ptr<Stream<v1::TailedEvent>> Tail(const v1::TailRequest& request, Wake wake) override {
    ++tails;
    return MakeFeedStream<v1::TailedEvent>(events, request.last(), std::move(wake),
                                           [device = request.device_id()](const v1::TailedEvent& event) {
                                             return device.empty() || event.device_id() == device;
                                           },
                                           [](const v1::TailedEvent& event) { return event; });
  }
  std::unique_ptr<Stream<v1::RejectedMessage>> TailRejected(const v1::TailRequest& request, Wake wake) override {
    return MakeFeedStream<v1::RejectedMessage>(rejected, request.last(), std::move(wake), nullptr,
                                               [](const v1::RejectedMessage& message) { return message; });
  }

  void Publish(uint64_t number, const std::string& device = "vm-0001", size_t padding = 0) {
    v1::TailedEvent event;
    event.set_event_id("00000000-0000-8000-8000-00000000000a");
    event.set_device_id(device);
    event.set_kind("sale");
    event.set_queue("inventory");
    event.set_number(number);
    event.set_received_ms(1'700'000'000'000 + static_cast<int64_t>(number));
    event.set_summary(R"({"product":"cola","quantity":1})" + std::string(padding, ' '));
    event.set_boot(3);
    event.set_seq(number);
    events.Publish(event, event.summary().size());
  }

  const EventId known = *EventId::Parse("01890a5d-ac96-774b-bcce-b302099a8057");
  v1::GetStatusResponse status;
  v1::ListDevicesResponse devices;
  Feed<v1::TailedEvent> events{{.entries = 64, .bytes = 64 << 20}};
  Feed<v1::RejectedMessage> rejected{{.entries = 64, .bytes = 1 << 20}};
  std::atomic<int> syncs{0}, tails{0};
};

}  // namespace sluice::control
