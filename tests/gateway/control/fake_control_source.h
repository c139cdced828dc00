// A daemon of the imagination, for tests of the control service and of sluicectl.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gateway/control/control_source.h"
#include "gateway/control/ring_watcher.h"

namespace sluice::control {

// What RingWatcher needs of a ring, as plainly as can be.
template <typename Entry>
class TestRing {
 public:
  struct Positioned {
    uint64_t position = 0;
    Entry entry;
  };

  explicit TestRing(size_t capacity) : capacity_(capacity) {}

  void Add(Entry entry) {
    const std::lock_guard lock(mutex_);
    entries_.push_back({++newest_, std::move(entry)});
    if (entries_.size() > capacity_) entries_.pop_front();
    added_.notify_all();
  }
  uint64_t newest() const {
    const std::lock_guard lock(mutex_);
    return newest_;
  }
  std::vector<Positioned> ReadAfter(uint64_t position, size_t max) const {
    const std::lock_guard lock(mutex_);
    std::vector<Positioned> out;
    const uint64_t forgotten = newest_ - entries_.size();   // positions are contiguous
    for (size_t i = std::max(position, forgotten) - forgotten; i < entries_.size() && out.size() < max; ++i) {
      out.push_back(entries_[i]);
    }
    return out;
  }
  bool WaitPast(uint64_t position, int64_t timeout_ms) const {
    std::unique_lock lock(mutex_);
    return added_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return newest_ > position; });
  }

 private:
  const size_t capacity_;
  mutable std::mutex mutex_;
  mutable std::condition_variable added_;
  std::deque<Positioned> entries_;
  uint64_t newest_ = 0;
};

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
    auto* listener = status.add_sources();
    listener->set_name("listener:shop");
    listener->set_state("listening");
    listener->set_promise("PUBACK means that the event is on flash or in the cloud");
    for (const auto& [name, value] : {std::pair("connections", 17), std::pair("withheld", 3), std::pair("refused_back_off", 0)}) {
      auto* figure = listener->add_figures();
      figure->set_name(name);
      figure->set_value(value);
    }
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
  v1::ListDeadLettersResponse ListDeadLetters() override { return dead_letters; }
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
    return event_watcher_.Open<v1::TailedEvent>(
        request.last(), std::move(wake),
        [device = request.device_id()](const v1::TailedEvent& event) -> std::optional<v1::TailedEvent> {
          if (!device.empty() && event.device_id() != device) return std::nullopt;
          return event;
        });
  }
  std::unique_ptr<Stream<v1::RejectedMessage>> TailRejected(const v1::TailRequest& request, Wake wake) override {
    return rejected_watcher_.Open<v1::RejectedMessage>(
        request.last(), std::move(wake), [](const v1::RejectedMessage& message) { return std::optional(message); });
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
    events.Add(std::move(event));
  }

  const EventId known = *EventId::Parse("01890a5d-ac96-774b-bcce-b302099a8057");
  v1::GetStatusResponse status;
  v1::ListDevicesResponse devices;
  v1::ListDeadLettersResponse dead_letters;
  TestRing<v1::TailedEvent> events{64};
  TestRing<v1::RejectedMessage> rejected{64};
  std::atomic<int> syncs{0}, tails{0};

 private:
  RingWatcher<TestRing<v1::TailedEvent>> event_watcher_{events};
  RingWatcher<TestRing<v1::RejectedMessage>> rejected_watcher_{rejected};
};

}  // namespace sluice::control
