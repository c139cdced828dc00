#include "devices/lines/driver.h"

#include <atomic>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "base/strings.h"
#include "devices/json_receipt.h"
#include "devices/lines/decode.h"
#include "devices/rejection.h"

namespace sluice::lines {
namespace {

using devices::DecodedEvent;
using transport::Frame;

constexpr size_t kMaxHeard = 4096;   // devices on one port; beyond, receipts go to all

class LineSource final : public devices::Driver, public devices::ReceiptChannel {
 public:
  LineSource(LineSourceConfig config, Profile profile, std::shared_ptr<transport::SerialLoop> loop, devices::EventSink& sink)
      : name_(StrCat("serial:", config.name)), where_(config.port), sink_(sink), decoder_(std::move(profile), config.device),
        framer_(decoder_.profile().framing),
        port_(transport::MakeSerialPort(std::move(loop), decoder_.profile().serial,
                                        {.on_bytes = [this](std::string_view bytes) { Bytes(bytes); },
                                         .on_open = [this] { Opened(); },
                                         .on_close = [this](const absl::Status& why) { Closed(why); },
                                         .on_tick = [this](int64_t now_ms) { Tick(now_ms); }})) {}

  absl::Status Start() override { return port_->Start(); }
  void Stop() override {
    port_->Stop();
    stopped_ = true;
  }

  devices::DriverStatus Status() const override {
    const transport::SerialStatus status = port_->status();
    return {.name = name_,
            .state = stopped_ ? "closed" : status.open ? "connected" : "waiting",
            .detail = status.detail,
            .promise = decoder_.profile().receipts ? "the receipt line says that an event is safe here"
                                                   : "none: the device is not answered",
            .events = events_.load(),
            .rejected = rejected_.load()};
  }

  devices::ReceiptChannel* receipts() override { return decoder_.profile().receipts ? this : nullptr; }

  void SendReceipt(const devices::Receipt& receipt) override {
    {
      std::lock_guard lock(mu_);
      if (heard_.size() < kMaxHeard && !heard_.contains(receipt.device_id)) return;
    }
    std::string json = devices::ReceiptToJson(receipt);
    // Names need no escape: they were checked when the device was heard.
    if (decoder_.device().empty()) json.insert(1, StrCat("\"device\":\"", receipt.device_id, json == "{}" ? "\"" : "\","));
    // Lost with the port or a full queue: the device sends again and is answered again.
    port_->Write(StrCat("{\"ack\":", json, "}\n")).IgnoreError();
  }

 private:
  static int64_t NowMs() { return SystemClock().MonotonicUs() / 1000; }

  void Bytes(std::string_view bytes) {
    last_bytes_ms_ = NowMs();
    std::vector<Frame> frames;
    framer_.Feed(bytes, last_bytes_ms_, &frames);
    Take(frames);
  }

  void Tick(int64_t now_ms) {
    std::vector<Frame> frames;
    framer_.Tick(now_ms, &frames);
    Take(frames);
    const Profile& profile = decoder_.profile();
    if (!profile.poll.empty() && open_ && now_ms - last_poll_ms_ >= profile.poll_ms) {
      last_poll_ms_ = now_ms;
      port_->Write(profile.poll).IgnoreError();   // asked again soon
    }
    if (profile.offline_after_ms > 0 && online_ && now_ms - last_bytes_ms_ >= profile.offline_after_ms) {
      SayStatus(false, StrCat("silent for ", profile.offline_after_ms, " ms"));
    }
  }

  void Opened() {
    open_ = true;
    last_bytes_ms_ = NowMs();
  }

  void Closed(const absl::Status& why) {
    open_ = false;
    std::vector<Frame> frames;
    framer_.Close(&frames);
    Take(frames);
    if (decoder_.profile().offline_after_ms > 0 && online_) SayStatus(false, StrCat("port closed: ", MessageOf(why)));
  }

  void Take(const std::vector<Frame>& frames) {
    for (const Frame& frame : frames) {
      devices::JsonEventFacts facts = decoder_.FactsOfAnyLine();
      absl::StatusOr<std::optional<DecodedEvent>> event = std::optional<DecodedEvent>();
      if (frame.status.ok()) {
        event = decoder_.Decode(frame.bytes, last_bytes_ms_, &facts);
      } else {
        event = frame.status;
      }
      if (!event.ok()) {
        ++rejected_;
        if (!facts.device.empty()) Heard(facts.device);
        sink_.Reject(devices::MakeRejection(name_, where_, event.status(), frame.bytes, facts));
        continue;
      }
      // A line that the profile understands is a sign of life, whether it is news or not.
      if (decoder_.profile().offline_after_ms > 0 && !online_) SayStatus(true, "");
      if (event->has_value()) Hand(std::move(**event));
    }
  }

  void Hand(DecodedEvent event) {
    Heard(event.event.device_id());
    const absl::Status accepted = sink_.Accept(name_, where_, std::move(event));
    if (accepted.code() == absl::StatusCode::kUnavailable) {
      decoder_.Forget();   // what was not taken was not said
      return;
    }
    ++(accepted.ok() ? events_ : rejected_);
  }

  void Heard(const std::string& device) {
    std::lock_guard lock(mu_);
    if (heard_.size() < kMaxHeard) heard_.insert(device);
  }

  void SayStatus(bool online, std::string text) {
    online_ = online;
    if (!online) decoder_.Forget();
    if (decoder_.device().empty()) return;   // nobody knows who is silent
    DecodedEvent event;
    event.event.set_device_id(decoder_.device());
    event.event.mutable_status()->set_state(online ? event::v1::Status::STATE_ONLINE : event::v1::Status::STATE_OFFLINE);
    event.event.mutable_status()->set_text(std::move(text));
    Hand(std::move(event));
  }

  const std::string name_;
  const std::string where_;
  devices::EventSink& sink_;
  std::atomic<uint64_t> events_{0};
  std::atomic<uint64_t> rejected_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mu_;
  std::set<std::string> heard_;   // guarded by mu_: devices that spoke on this port
  // The loop thread's own.
  LineDecoder decoder_;           // its profile and device never change and are read anywhere
  transport::Framer framer_;
  bool open_ = false;
  bool online_ = false;           // as far as it was told
  int64_t last_bytes_ms_ = 0;
  int64_t last_poll_ms_ = 0;
  const std::unique_ptr<transport::SerialPort> port_;   // last: its thread uses all of the above
};

}  // namespace

namespace {

// The profile with what the configuration says instead.
absl::StatusOr<Profile> ProfileOf(const LineSourceConfig& config) {
  ASSIGN_OR_RETURN(Profile profile, LoadProfile(config.profile_file));
  transport::SerialOptions& serial = profile.serial;
  serial.path = config.port;
  serial.baud = config.baud.value_or(serial.baud);
  serial.data_bits = config.data_bits.value_or(serial.data_bits);
  serial.parity = config.parity.value_or(serial.parity);
  serial.stop_bits = config.stop_bits.value_or(serial.stop_bits);
  serial.flow = config.flow.value_or(serial.flow);
  if (config.rs485.has_value()) {
    serial.rs485 = *config.rs485;
    serial.rs485_rts_on_send = config.rs485_rts_on_send;
    serial.rs485_delay_before_ms = config.rs485_delay_before_ms;
    serial.rs485_delay_after_ms = config.rs485_delay_after_ms;
  }
  serial.retry_min_ms = config.retry_min_ms;
  serial.retry_max_ms = config.retry_max_ms;
  profile.offline_after_ms = config.offline_after_ms.value_or(profile.offline_after_ms);
  profile.receipts = config.receipts.value_or(profile.receipts);
  RETURN_IF_ERROR(transport::CheckSerialOptions(serial));
  if (config.device.empty() && profile.format != LineFormat::kEvents) {
    return absl::InvalidArgumentError(StrCat("device: missing; lines of profile ", profile.name, " do not name it"));
  }
  if (!config.device.empty() && !devices::IsDeviceName(config.device)) {
    return absl::InvalidArgumentError("device: must be 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot");
  }
  return profile;
}

}  // namespace

absl::Status CheckLineSource(const LineSourceConfig& config) { return ProfileOf(config).status(); }

absl::StatusOr<std::unique_ptr<devices::Driver>> MakeLineSource(LineSourceConfig config, std::shared_ptr<transport::SerialLoop> loop,
                                                                devices::EventSink& sink) {
  ASSIGN_OR_RETURN(Profile profile, ProfileOf(config));
  return std::make_unique<LineSource>(std::move(config), std::move(profile), std::move(loop), sink);
}

}  // namespace sluice::lines
