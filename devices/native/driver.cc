#include "devices/native/driver.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "devices/json_receipt.h"
#include "devices/native/decode.h"
#include "devices/native/receipts.h"
#include "devices/rejection.h"

namespace sluice::native {
namespace {

using devices::DriverStatus;
using transport::MqttMessage;
using transport::MqttTaken;

transport::MqttOptions OptionsOf(const MqttSourceConfig& config) {
  transport::MqttOptions options;
  options.url = config.url;
  options.allow_plaintext = config.allow_plaintext;
  options.version = config.version;
  options.client_id = config.client_id;
  options.username = config.username;
  options.password_file = config.password_file;
  options.ca_file = config.ca_file;
  options.certificate_file = config.certificate_file;
  options.key_file = config.key_file;
  options.session_expiry_s = config.session_expiry_s;
  options.receive_maximum = config.receive_maximum;
  options.keep_alive_s = config.keep_alive_s;
  options.connect_timeout_s = config.connect_timeout_s;
  options.backoff.cap_ms = config.backoff_cap_ms;
  options.backoff.base_ms = std::min(options.backoff.base_ms, config.backoff_cap_ms);
  options.filters = {std::string(kEventFilter)};
  return options;
}

class MqttSource final : public devices::Driver, public devices::ReceiptChannel {
 public:
  MqttSource(MqttSourceConfig config, devices::EventSink& sink)
      : name_(StrCat("mqtt:", config.name)), max_outstanding_(config.max_outstanding_receipts), sink_(sink),
        client_(transport::MakeMqttClient(OptionsOf(config),
                                          {.on_message = [this](const MqttMessage& message) { return Take(message); },
                                           .on_connected = [this] { Pump(); },
                                           .on_published = [this] { Published(); }})) {}

  absl::Status Start() override { return client_->Start(); }
  void Stop() override { client_->Stop(); }

  DriverStatus Status() const override {
    const transport::MqttStatus status = client_->status();
    return {.name = name_,
            .state = std::string(transport::MqttStateName(status.state)),
            .detail = status.detail,
            .promise = "the broker's PUBACK says only that the broker has it; the receipt on sluice/v1/<device>/ack says "
                       "that it is safe here",
            .events = events_.load(),
            .rejected = rejected_.load()};
  }

  devices::ReceiptChannel* receipts() override { return this; }

  // No lock is held while publishing: Paho calls Published with its own lock held.
  void SendReceipt(const devices::Receipt& receipt) override {
    {
      std::lock_guard lock(mu_);
      queue_.Push(receipt);
    }
    Pump();
  }

 private:
  MqttTaken Take(const MqttMessage& message) {
    const absl::StatusOr<EventTopic> topic = ParseTopic(message.topic);
    if (topic.ok() && topic->kind == kReceiptKind) return MqttTaken::kTaken;   // our own, where no-local is unknown
    if (message.retained) {
      sink_.CountRetained(name_);
      return MqttTaken::kTaken;
    }
    const std::string where(message.topic);
    devices::JsonEventFacts facts;
    absl::StatusOr<devices::DecodedEvent> decoded = Decode(message.topic, message.payload, &facts);
    if (!decoded.ok()) {
      ++rejected_;
      sink_.Reject(devices::MakeRejection(name_, where, decoded.status(), message.payload, facts));
      return MqttTaken::kTaken;
    }
    const absl::Status accepted = sink_.Accept(name_, where, *std::move(decoded));
    if (accepted.code() == absl::StatusCode::kUnavailable) return MqttTaken::kNotTaken;
    ++(accepted.ok() ? events_ : rejected_);
    return MqttTaken::kTaken;
  }

  void Published() {
    {
      std::lock_guard lock(mu_);
      --outstanding_;
    }
    Pump();
  }

  // Publishes what waits, as far as the bound allows; without a connection it waits for the next one.
  void Pump() {
    for (;;) {
      std::optional<devices::Receipt> receipt;
      {
        std::lock_guard lock(mu_);
        if (outstanding_ < max_outstanding_) receipt = queue_.Pop();
        if (!receipt) return;
        ++outstanding_;
      }
      if (client_->Publish(ReceiptTopic(receipt->device_id), devices::ReceiptToJson(*receipt), 1, false).ok()) continue;
      std::lock_guard lock(mu_);
      --outstanding_;
      queue_.Return(*std::move(receipt));
      return;
    }
  }

  const std::string name_;
  const size_t max_outstanding_;
  devices::EventSink& sink_;
  std::atomic<uint64_t> events_{0};
  std::atomic<uint64_t> rejected_{0};
  std::mutex mu_;
  ReceiptQueue queue_;       // guarded by mu_
  size_t outstanding_ = 0;   // guarded by mu_
  const std::unique_ptr<transport::MqttClient> client_;   // last: its threads use all of the above
};

}  // namespace

std::unique_ptr<devices::Driver> MakeMqttSource(MqttSourceConfig config, devices::EventSink& sink) {
  return std::make_unique<MqttSource>(std::move(config), sink);
}

}  // namespace sluice::native
