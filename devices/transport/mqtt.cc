#include "devices/transport/mqtt.h"

#include <chrono>
#include <thread>
#include <utility>

#include "MQTTAsync.h"
#include "MQTTReasonCodes.h"
#include "base/random.h"
#include "base/status.h"
#include "base/strings.h"
#include "devices/transport/paho_options.h"
#include "devices/transport/paho_shared.h"
#include "mqtt/async_client.h"

namespace sluice::transport {
namespace {

using State = MqttStatus::State;
using Lock = std::unique_lock<std::mutex>;

constexpr int kVersion5 = MQTTVERSION_5;
constexpr int kVersion311 = MQTTVERSION_3_1_1;
// A connection that held this long shows that the broker is well: the next loss begins with a short wait again.
constexpr auto kStable = std::chrono::seconds(10);
// Paho answers a disconnect within the time it was given; this is for a Paho that does not.
constexpr auto kDisconnectPatience = std::chrono::seconds(2);
constexpr size_t kMaxOutgoing = 4096;

class PahoClient final : public MqttClient {
 public:
  PahoClient(MqttOptions options, MqttHandlers handlers)
      : options_(std::move(options)), shared_(std::make_shared<PahoShared>()), address_(shared_->address),
        backoff_(options_.backoff, random_) {
    shared_->handlers = std::move(handlers);
  }
  ~PahoClient() override { Stop(); }

  absl::Status Start() override {
    RETURN_IF_ERROR(CheckMqttOptions(options_));
    shared_->address = *ParseMqttUrl(options_.url);
    SetState(State::kConnecting, StrCat("to ", address_.host, ":", address_.port));
    keeper_ = std::thread([this] { Keep(); });
    return absl::OkStatus();
  }

  void Stop() override {
    if (!keeper_.joinable()) return;
    {
      Lock lock(shared_->mu);
      shared_->stopping = true;
    }
    shared_->changed.notify_all();
    keeper_.join();
    Lock lock(shared_->mu);
    shared_->changed.wait(lock, [this] { return shared_->handling == 0; });
  }

  absl::Status Publish(std::string_view topic, std::string_view payload, int qos, bool retain) override {
    {
      Lock lock(shared_->mu);
      if (shared_->status.state != State::kConnected || shared_->stopping) {
        return absl::UnavailableError("no connection to the broker");
      }
      if (shared_->outgoing.size() >= kMaxOutgoing) return absl::ResourceExhaustedError("too much waits to be published");
      shared_->outgoing.push_back({std::string(topic), std::string(payload), qos, retain});
    }
    shared_->changed.notify_all();
    return absl::OkStatus();
  }

  MqttStatus status() const override {
    Lock lock(shared_->mu);
    return shared_->status;
  }

 private:
  // The keeper's thread: connects, subscribes, waits for the loss, backs off, again.
  void Keep() {
    int version = options_.version == MqttVersion::k311 ? kVersion311 : kVersion5;
    bool subscribed = false;   // in this life of the process; an older one may have known other filters
    absl::Status trouble;
    while (!Stopping()) {
      SetState(State::kConnecting, StrCat("to ", address_.host, ":", address_.port, trouble.ok() ? "" : "; before: ", MessageOf(trouble)));
      const absl::StatusOr<PahoOutcome> connected = Connect(version);
      trouble = connected.status();
      if (connected.ok() && connected->ok) {
        // A new session has no subscription, and is kept without one if the connection is lost before ours arrives.
        if (!connected->session_present) subscribed = false;
        if (!subscribed) trouble = Subscribe(version, connected->session_present);
        if (trouble.ok()) {
          subscribed = true;
          proven_version_ = version;
          trouble = StayConnected(version, connected->session_present);
        }
      } else if (connected.ok()) {
        trouble = absl::UnavailableError(Describe(*connected, address_.tls));
        if (options_.version == MqttVersion::kAuto) version = NextVersion(version, *connected);
      }
      if (Stopping()) break;
      Disconnect();
      WaitAfter(trouble);
    }
    Disconnect();
    DropClient();
    {
      Lock lock(shared_->mu);
      shared_->status.state = State::kClosed;
      shared_->status.detail = "stopped";
    }
    shared_->changed.notify_all();
  }

  void DropClient() {
    int given_up = 0;
    {
      Lock lock(shared_->mu);
      given_up = std::exchange(shared_->publishing, 0);
      ++shared_->generation;
    }
    client_.reset();
    unanswered_ = false;
    for (; given_up > 0; --given_up) shared_->CallPublished();
  }

  // A 3.1.1 broker answers a version 5 CONNECT with return code 1, a 5 broker that will not with 0x84, and some close the
  // connection without a word, which looks like any failure: so the versions take turns until one was proven.
  int NextVersion(int version, const PahoOutcome& outcome) {
    // Nobody there, or no TLS: nothing was said about versions.
    if (outcome.message.find("connect failure") != std::string::npos || outcome.message.find("timeout") != std::string::npos) {
      return version;
    }
    const bool refused = outcome.code == 1 || ReasonOf(outcome) == MQTTREASONCODE_UNSUPPORTED_PROTOCOL_VERSION;
    if (!refused && proven_version_ != 0) return proven_version_;
    return version == kVersion5 ? kVersion311 : kVersion5;
  }

  std::unique_ptr<mqtt::async_client> NewClient(int version) {
    mqtt::create_options create(version);
    const std::string host = address_.host.find(':') == std::string::npos ? address_.host : StrCat("[", address_.host, "]");
    auto client = std::make_unique<mqtt::async_client>(StrCat(address_.tls ? "ssl://" : "tcp://", host, ":", address_.port),
                                                       options_.client_id, create, nullptr);
    // Before the connection, or what the broker sends at once would go nowhere.
    std::weak_ptr<PahoShared> weak = shared_;
    client->set_message_callback([weak](const mqtt::const_message_ptr& message) {
      if (auto shared = weak.lock()) shared->OnMessage(*message, message->get_topic());
    });
    client->set_connection_lost_handler([weak](const std::string& cause) {
      if (auto shared = weak.lock()) shared->OnLost(cause.empty() ? "connection lost" : StrCat("connection lost: ", cause));
    });
    client->set_disconnected_handler([weak](const mqtt::properties&, mqtt::ReasonCode reason) {
      const char* text = MQTTReasonCode_toString(static_cast<MQTTReasonCodes>(reason));
      if (auto shared = weak.lock()) shared->OnLost(StrCat("the broker disconnected us: ", text != nullptr ? text : "unknown"));
    });
    return client;
  }

  absl::StatusOr<PahoOutcome> Connect(int version) {
    try {
      mqtt::connect_options connect;
      RETURN_IF_ERROR(FillConnectOptions(options_, address_, version, connect));
      if (!client_ || client_version_ != version || unanswered_) {
        DropClient();
        client_ = NewClient(version);
        client_version_ = version;
      }
      {
        Lock lock(shared_->mu);
        shared_->lost = false;
        shared_->cut = false;
        shared_->lost_why.clear();
      }
      // The connect_options are copied on the way in.
      absl::StatusOr<PahoOutcome> outcome = Ask([&](mqtt::iaction_listener& answer) { client_->connect(connect, nullptr, answer); },
                                            std::chrono::seconds(options_.connect_timeout_s + 5));
      unanswered_ = !outcome.ok();
      return outcome;
    } catch (const std::exception& error) {
      return absl::UnavailableError(StrCat("connect: ", error.what()));
    }
  }

  absl::Status Subscribe(int version, bool session_present) {
    for (const std::string& filter : options_.filters) {
      // What is retained comes once, when the subscription is new (3.8.3.1 of MQTT 5): it is only counted.
      const mqtt::subscribe_options how = version == kVersion5
                                              ? mqtt::subscribe_options(true, false, mqtt::subscribe_options::SEND_RETAINED_ON_NEW)
                                              : mqtt::subscribe_options();
      absl::StatusOr<PahoOutcome> outcome;
      try {
        outcome = Ask([&](mqtt::iaction_listener& answer) { client_->subscribe(filter, 1, nullptr, answer, how); },
                      std::chrono::seconds(options_.connect_timeout_s));
      } catch (const std::exception& error) {
        outcome = absl::UnavailableError(error.what());
      }
      if (outcome.ok() && !outcome->ok) outcome = absl::UnavailableError(Describe(*outcome));
      if (!outcome.ok()) return WithContext(outcome.status(), StrCat("subscribe to ", filter));
    }
    Lock lock(shared_->mu);
    shared_->status.session_present = session_present;
    return absl::OkStatus();
  }

  absl::Status StayConnected(int version, bool session_present) {
    const auto since = std::chrono::steady_clock::now();
    Lock lock(shared_->mu);
    MqttStatus& status = shared_->status;
    status.state = State::kConnected;
    status.detail = StrCat("MQTT ", version == kVersion5 ? "5" : "3.1.1", address_.tls ? " over TLS to " : " to ", address_.host, ":",
                           address_.port, session_present ? ", session kept" : ", new session");
    status.version = version;
    status.session_present = session_present;
    ++status.connections;
    shared_->changed.notify_all();
    if (shared_->handlers.on_connected && !shared_->stopping) {
      lock.unlock();
      shared_->handlers.on_connected();
      lock.lock();
    }
    while (!shared_->lost && !shared_->stopping) {
      if (shared_->outgoing.empty()) {
        shared_->changed.wait(lock);
        continue;
      }
      const PahoOutgoing message = std::move(shared_->outgoing.front());
      shared_->outgoing.pop_front();
      ++shared_->publishing;
      lock.unlock();
      Send(message);
      lock.lock();
    }
    if (std::chrono::steady_clock::now() - since > kStable) backoff_.Reset();
    return absl::UnavailableError(shared_->lost_why.empty() ? "connection lost" : shared_->lost_why);
  }

  // On the keeper's thread, as Paho makes a publish wait for a message handler that is running.
  void Send(const PahoOutgoing& message) {
    const uint64_t generation = shared_->generation;   // only this thread changes it
    mqtt::iaction_listener* const listener = NewPublished(shared_, generation);
    try {
      client_->publish(message.topic, message.payload.data(), message.payload.size(), message.qos, message.retain, nullptr,
                       *listener);
    } catch (const std::exception&) {
      delete listener;
      shared_->OnPublished(generation);
    }
  }

  // Starts a request and waits for its answer, the loss of the connection or the time.
  template <typename Begin>
  absl::StatusOr<PahoOutcome> Ask(Begin begin, std::chrono::steady_clock::duration patience, bool to_the_end = false) {
    uint64_t request = 0;
    {
      Lock lock(shared_->mu);
      request = ++shared_->request;
      shared_->outcome.reset();
    }
    mqtt::iaction_listener* const answer = NewAnswer(shared_, request);
    try {
      begin(*answer);
    } catch (...) {
      delete answer;   // Paho did not take the request, so it will not answer
      throw;
    }
    Lock lock(shared_->mu);
    shared_->changed.wait_for(lock, patience, [this, to_the_end] {
      // A connection that is lost, or that we cut ourselves, answers no more.
      return shared_->outcome || shared_->lost || shared_->cut || (!to_the_end && shared_->stopping);
    });
    if (shared_->outcome) return *shared_->outcome;
    if (shared_->lost) return absl::UnavailableError(shared_->lost_why);
    if (shared_->stopping) return absl::CancelledError("stopping");
    return absl::DeadlineExceededError("no answer from the broker");
  }

  void Disconnect() {
    if (!client_ || unanswered_ || !client_->is_connected()) return;   // an unanswered attempt ends with its client
    // 100 ms for receipts that are on their way.
    try {
      Ask([&](mqtt::iaction_listener& answer) { client_->disconnect(100, nullptr, answer); }, kDisconnectPatience, true).status().IgnoreError();
    } catch (const std::exception&) {
      // Lost meanwhile.
    }
  }

  void WaitAfter(const absl::Status& trouble) {
    const int64_t delay_ms = backoff_.NextMs();
    Lock lock(shared_->mu);
    shared_->status.state = State::kWaiting;
    shared_->status.detail = StrCat(MessageOf(trouble), "; next try in ", delay_ms, " ms");
    shared_->changed.notify_all();
    shared_->changed.wait_for(lock, std::chrono::milliseconds(delay_ms), [this] { return shared_->stopping; });
  }

  bool Stopping() const {
    Lock lock(shared_->mu);
    return shared_->stopping;
  }
  void SetState(State state, std::string detail) {
    Lock lock(shared_->mu);
    shared_->status.state = state;
    shared_->status.detail = std::move(detail);
  }

  const MqttOptions options_;
  const std::shared_ptr<PahoShared> shared_;
  SystemRandom random_;
  std::thread keeper_;
  // The keeper's own.
  MqttAddress& address_;
  Backoff backoff_;
  std::unique_ptr<mqtt::async_client> client_;
  int client_version_ = 0;
  int proven_version_ = 0;
  bool unanswered_ = false;   // a connection attempt whose end we do not know
};

}  // namespace

std::unique_ptr<MqttClient> MakeMqttClient(MqttOptions options, MqttHandlers handlers) {
  return std::make_unique<PahoClient>(std::move(options), std::move(handlers));
}

}  // namespace sluice::transport
