#include "devices/native/listener_driver.h"

#include <atomic>
#include <utility>

#include "base/strings.h"
#include "devices/json_receipt.h"
#include "devices/native/decode.h"
#include "devices/rejection.h"

namespace sluice::native {
namespace {

using devices::DriverStatus;
using transport::MqttListenerStatus;
using transport::MqttPublication;
using transport::MqttReason;
using transport::MqttVerdict;

// A change of journal segments is over sooner; only then is the store told to be full.
constexpr int64_t kFullAfterMs = 1000;

constexpr std::string_view kNotThisDevices = "the topic is not this device's";

MqttVerdict Refused(MqttReason reason, std::string_view why) {
  return {.kind = MqttVerdict::Kind::kRefused, .reason = reason, .text = std::string(why)};
}

class ListenerSource final : public devices::Driver, public devices::ReceiptChannel, public transport::MqttListenerHandler {
 public:
  ListenerSource(ListenerSourceConfig config, devices::EventSink& sink, const Clock& clock, Random& random)
      : name_(StrCat("listener:", config.name)), sink_(sink), clock_(clock),
        listener_(transport::MakeMqttListener(std::move(config.options), *this, clock, random)),
        answers_(listener_->answers()) {}
  ~ListenerSource() override { Stop(); }

  absl::Status Start() override { return listener_->Start(); }
  void Stop() override { listener_->Stop(); }
  DriverStatus Status() const override;
  devices::ReceiptChannel* receipts() override { return this; }
  void SendReceipt(const devices::Receipt& receipt) override {
    listener_->Deliver(receipt.device_id, ReceiptTopic(receipt.device_id), devices::ReceiptToJson(receipt));
  }

 private:
  // The listener's thread.
  MqttVerdict Publish(uint64_t token, const MqttPublication& publication) override;
  void NotTaken(const MqttPublication& publication, MqttReason reason, std::string_view why) override;
  bool StoreFull() const override {
    const int64_t since_ms = shared_->no_room_since_ms.load(std::memory_order_relaxed);
    return since_ms != 0 && clock_.MonotonicUs() / 1000 - since_ms >= kFullAfterMs;
  }
  MqttVerdict Offer(uint64_t token, const MqttPublication& publication, devices::DecodedEvent event);
  MqttVerdict NoRoom();
  void Reject(const MqttPublication& publication, std::string_view why, const devices::JsonEventFacts& facts);

  const std::string name_;
  devices::EventSink& sink_;
  const Clock& clock_;
  std::atomic<uint64_t> events_{0}, rejected_{0}, at_qos0_{0}, others_{0}, no_room_{0};
  // What the sink's callbacks change: they may come after we are gone.
  struct Shared {
    std::atomic<bool> room_wanted{false};        // a WhenRoom is under way
    std::atomic<int64_t> no_room_since_ms{0};    // monotonic; 0: the last event found room, or there is some again
    std::atomic<uint64_t> wills_lost{0};
  };
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::string where_;                          // the listener's thread's; keeps its memory from event to event

  const std::unique_ptr<transport::MqttListener> listener_;   // its thread uses all of the above
  const std::shared_ptr<transport::MqttAnswers> answers_;
};

MqttVerdict ListenerSource::Publish(uint64_t token, const MqttPublication& publication) {
  const absl::StatusOr<EventTopic> topic = ParseTopic(publication.topic);
  if (!IsEventTopic(publication.topic)) {
    others_.fetch_add(1, std::memory_order_relaxed);
    return {.kind = MqttVerdict::Kind::kSafe};
  }
  // A mistyped topic of an event must not be told success: nothing is stored of it.
  const std::string_view wrong = !topic.ok()                    ? MessageOf(topic.status())
                                 : topic->kind == kReceiptKind ? "topic: receipts come from the gateway"
                                                                : "";
  if (!wrong.empty()) {
    Reject(publication, wrong, {});
    return Refused(MqttReason::kTopicNameInvalid, wrong);
  }
  // What the device may publish says so, too; but a pattern of the configuration must never let one speak for another.
  if (topic->device != publication.identity.device) {
    Reject(publication, kNotThisDevices, {});
    return Refused(MqttReason::kNotAuthorized, kNotThisDevices);
  }
  devices::JsonEventFacts facts;
  absl::StatusOr<devices::DecodedEvent> decoded = Decode(publication.topic, publication.payload, &facts);
  if (!decoded.ok()) {
    Reject(publication, MessageOf(decoded.status()), facts);
    return Refused(MqttReason::kPayloadFormatInvalid, MessageOf(decoded.status()));
  }
  return Offer(token, publication, *std::move(decoded));
}

MqttVerdict ListenerSource::Offer(uint64_t token, const MqttPublication& publication, devices::DecodedEvent event) {
  devices::SafeCompletion safe = [](absl::Status) {};
  if (token != 0) {
    safe = [answers = answers_, token](absl::Status status) {
      if (status.ok()) {
        answers->Safe(token);
      } else {
        answers->Lost(token);
      }
    };
  } else if (publication.will) {
    // Nobody sends it again: it is counted at least.
    safe = [shared = shared_](absl::Status status) {
      if (!status.ok()) shared->wills_lost.fetch_add(1, std::memory_order_relaxed);
    };
  }
  where_.assign(publication.topic);
  const absl::Status status = sink_.Offer(name_, where_, event, std::move(safe));
  switch (status.code()) {
    case absl::StatusCode::kOk:
      events_.fetch_add(1, std::memory_order_relaxed);
      if (publication.qos == 0) at_qos0_.fetch_add(1, std::memory_order_relaxed);
      shared_->no_room_since_ms.store(0, std::memory_order_relaxed);
      return {.kind = MqttVerdict::Kind::kTaken};
    case absl::StatusCode::kResourceExhausted: return NoRoom();
    case absl::StatusCode::kUnavailable: return {.kind = MqttVerdict::Kind::kNoRoom};   // stopping: nothing is promised
    default:
      rejected_.fetch_add(1, std::memory_order_relaxed);
      return Refused(absl::IsPermissionDenied(status) ? MqttReason::kNotAuthorized : MqttReason::kPayloadFormatInvalid,
                     MessageOf(status));
  }
}

MqttVerdict ListenerSource::NoRoom() {
  no_room_.fetch_add(1, std::memory_order_relaxed);
  if (shared_->no_room_since_ms.load(std::memory_order_relaxed) == 0) {
    shared_->no_room_since_ms.store(clock_.MonotonicUs() / 1000, std::memory_order_relaxed);
  }
  if (!shared_->room_wanted.exchange(true)) {
    sink_.WhenRoom([shared = shared_, answers = answers_] {
      // Also where nobody is left to offer anything. Before room_wanted: what finds no room after this begins anew.
      shared->no_room_since_ms.store(0);
      shared->room_wanted.store(false);
      answers->Room();
    });
  }
  return {.kind = MqttVerdict::Kind::kNoRoom};
}

void ListenerSource::NotTaken(const MqttPublication& publication, MqttReason reason, std::string_view why) {
  devices::JsonEventFacts facts;
  // Whose number it was, so that a receipt can refuse it: that stands at its beginning, where devices write it.
  if (reason == MqttReason::kPacketTooLarge) Decode(publication.topic, publication.payload, &facts).status().IgnoreError();
  Reject(publication, why, facts);
}

void ListenerSource::Reject(const MqttPublication& publication, std::string_view why, const devices::JsonEventFacts& facts) {
  rejected_.fetch_add(1, std::memory_order_relaxed);
  devices::Rejection rejection = devices::MakeRejection(name_, std::string(publication.topic),
                                                        absl::InvalidArgumentError(AsAbsl(why)), publication.payload, facts);
  rejection.device_id = publication.identity.device;   // who said it, whomever the topic names
  rejection.size += publication.missing;
  sink_.Reject(std::move(rejection));
}

DriverStatus ListenerSource::Status() const {
  const MqttListenerStatus status = listener_->status();
  const transport::MqttSessionFigures& sessions = status.sessions;
  const transport::MqttRefusals& refused = status.refusals;
  DriverStatus out;
  out.name = name_;
  switch (status.state) {
    case MqttListenerStatus::State::kListening: out.state = "listening"; break;
    case MqttListenerStatus::State::kWaiting: out.state = "waiting"; break;
    case MqttListenerStatus::State::kClosed: out.state = "closed"; break;
  }
  out.detail = StrCat(status.detail, status.last_refused.empty() ? "" : "; turned away last: ", status.last_refused);
  out.promise = "PUBACK means that the event is on flash or in the cloud";
  out.events = events_.load();
  out.rejected = rejected_.load();
  out.figures = {
      {"connections", status.open},
      {"half_open", status.half_open},
      {"sessions", sessions.sessions},
      {"withheld", sessions.inflight},
      {"waiting_for_room", sessions.waiting},
      {"waiting_bytes", sessions.waiting_bytes},
      {"retained", sessions.retained},
      {"accepted", status.accepted},
      {"connects", sessions.connects},
      {"resumed", sessions.resumed},
      {"taken_over", sessions.taken_over},
      {"acknowledged", sessions.acknowledged},
      {"repeated", sessions.merged},
      {"at_qos0", at_qos0_.load()},
      {"wills", sessions.wills},
      {"wills_dropped", sessions.wills_dropped},
      {"wills_lost", shared_->wills_lost.load()},
      {"other_topics", others_.load()},
      {"no_room", no_room_.load()},
      {"scrypts", status.scrypts},
      {"passwords_remembered", status.remembered},
      {"refused_too_many", refused.too_many},
      {"refused_too_many_from_address", refused.too_many_from_address},
      {"refused_half_open_from_address", refused.half_open_from_address},
      {"refused_too_fast_from_address", refused.too_fast_from_address},
      {"refused_half_open_evicted", refused.half_open_evicted},
      {"refused_too_many_of_device", sessions.connections_evicted},
      {"refused_no_descriptors", refused.no_descriptors},
      {"refused_handshake", refused.handshake_failed},
      {"refused_handshake_timeout", refused.handshake_timeout},
      {"refused_certificate_name", refused.certificate_name},
      {"refused_no_credentials", refused.no_credentials},
      {"refused_wrong_password", refused.wrong_password},
      {"refused_back_off", refused.back_off},
      {"refused_quota", sessions.quota_exceeded},
      {"refused_not_authorized", sessions.not_authorized},
      {"sessions_evicted", sessions.sessions_evicted},
      {"qos0_dropped", sessions.qos0_dropped},
      {"retained_evicted", sessions.retained_evicted},
      {"deliveries_dropped", sessions.deliveries_dropped},
      {"closed_receive_maximum", sessions.receive_maximum_exceeded},
      {"closed_slow_reader", refused.slow_reader},
      {"closed_connect_timeout", sessions.connect_timeouts},
      {"closed_keep_alive", sessions.keep_alive_timeouts},
      {"closed_malformed", sessions.malformed},
      {"closed_protocol_error", sessions.protocol_errors},
      {"closed_packet_too_large", sessions.packet_too_large},
      {"paused_rate", sessions.rate_pauses},
      {"paused_window", sessions.window_pauses},
      {"paused_output", sessions.output_pauses},
      {"paused_turn", sessions.turn_pauses},
  };
  if (status.state == MqttListenerStatus::State::kWaiting) {
    out.troubles.push_back({"down", StrCat(name_, " cannot take devices: ", status.detail)});
  }
  if (!status.trouble.empty()) out.troubles.push_back({"files", StrCat(name_, ": ", status.trouble)});
  if (StoreFull()) {
    out.troubles.push_back({"store_full", StrCat(name_, " acknowledges nothing new: there is no room for events")});
  }
  return out;
}

}  // namespace

std::unique_ptr<devices::Driver> MakeListenerSource(ListenerSourceConfig config, devices::EventSink& sink, const Clock& clock,
                                                    Random& random) {
  return std::make_unique<ListenerSource>(std::move(config), sink, clock, random);
}

}  // namespace sluice::native
