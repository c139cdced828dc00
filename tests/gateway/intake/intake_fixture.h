// An intake over a journal in memory, a clock turned by hand and a channel that remembers.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gateway/intake/intake.h"
#include "tests/fakes/fake_journal.h"

namespace sluice::intake {

class RecordingChannel final : public devices::ReceiptChannel {
 public:
  void SendReceipt(const devices::Receipt& receipt) override {
    const std::lock_guard lock(mutex_);
    receipts_.push_back(receipt);
    came_.notify_all();
  }
  std::vector<devices::Receipt> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(receipts_, {});
  }
  // Waits for one that `wanted` agrees with.
  template <typename Wanted>
  bool Await(Wanted wanted) {
    std::unique_lock lock(mutex_);
    return came_.wait_for(lock, std::chrono::seconds(20), [&] {
      for (const auto& receipt : receipts_) {
        if (wanted(receipt)) return true;
      }
      return false;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<devices::Receipt> receipts_;
};

inline devices::DecodedEvent Sale(const std::string& device, uint64_t boot, uint64_t seq) {
  devices::DecodedEvent decoded;
  decoded.event.set_device_id(device);
  if (seq > 0) {
    decoded.event.mutable_sequence()->set_boot(boot);
    decoded.event.mutable_sequence()->set_seq(seq);
  }
  decoded.event.mutable_sale()->set_product_id("cola");
  decoded.event.mutable_sale()->set_quantity(1);
  return decoded;
}

inline devices::DecodedEvent Named(const std::string& device, const std::string& id) {
  auto decoded = Sale(device, 0, 0);
  decoded.event.set_message_id(id);
  return decoded;
}

inline event::v1::DeviceEvent EventOf(const Item& item) {
  event::v1::DeviceEvent event;
  EXPECT_TRUE(event.ParseFromString(item.bytes));
  return event;
}

class IntakeFixture : public ::testing::Test {
 protected:
  using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;

  IntakeFixture() {
    Restart();
  }
  // The journal and what is stored stay; the intake forgets.
  void Restart(const std::map<std::string, std::string>& rows = {}) {
    intake = std::make_unique<Intake>(options, journal, clock, random, watch,
                                      [this](std::string row) { stored_rejects.push_back(std::move(row)); });
    EXPECT_TRUE(intake->Restore(rows).ok());
    intake->SetReceiptChannel("mqtt:main", &channel);
    intake->Start();
  }
  absl::Status Accept(devices::DecodedEvent event) {
    return intake->Accept("mqtt:main", "sluice/v1/d/sale", std::move(event));
  }

  Options options{.gateway = "gw-1", .shop = "shop-1", .receipt_interval_ms = 1};
  ManualClock clock;
  SystemRandom random;
  ClockWatch watch{clock, Uuid(7), 0, [] { return false; }};
  journal::FakeJournal journal;
  RecordingChannel channel;
  std::vector<std::string> stored_rejects;
  std::unique_ptr<Intake> intake;

  static Id128 Uuid(uint8_t byte) {
    Id128 id;
    id.bytes.fill(byte);
    return id;
  }
};

}  // namespace sluice::intake
