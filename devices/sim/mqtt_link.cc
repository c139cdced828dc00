#include "devices/sim/mqtt_link.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/status.h"

namespace sluice::sim {
namespace {

constexpr Backoff::Options kReconnect{.base_ms = 200, .factor = 2.0, .cap_ms = 5000};

std::string ForDevice(std::string path, const std::string& device) {
  constexpr std::string_view kMark = "{device}";
  if (const size_t at = path.find(kMark); at != std::string::npos) path.replace(at, kMark.size(), device);
  return path;
}

std::string Trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace

MqttLink::MqttLink(std::string device, const BrokerOptions& options, Poller& poller, LinkListener& listener,
                   Random& random)
    : device_(std::move(device)),
      topic_prefix_("sluice/v1/" + device_ + "/"),
      options_(options),
      poller_(poller),
      listener_(listener),
      backoff_(kReconnect, random) {}

MqttLink::~MqttLink() {
  if (fd_ >= 0) poller_.Forget(fd_);
  if (client_ != nullptr) mosquitto_destroy(client_);
}

absl::Status MqttLink::Secure() {
  if (options_.tls) {
    const std::string certificate = ForDevice(options_.certificate, device_);
    const std::string key = ForDevice(options_.key, device_);
    const int code = mosquitto_tls_set(client_, options_.ca.c_str(), nullptr,
                                       certificate.empty() ? nullptr : certificate.c_str(),
                                       key.empty() ? nullptr : key.c_str(), nullptr);
    if (code != MOSQ_ERR_SUCCESS) {
      return absl::InvalidArgumentError(
          StrCat("TLS files (", options_.ca, " ", certificate, " ", key, "): ", mosquitto_strerror(code)));
    }
  }
  std::string user = options_.username;
  std::string password = options_.password;
  if (!options_.users_dir.empty()) {
    user = device_;
    ASSIGN_OR_RETURN(password, ReadFile(options_.users_dir + "/" + device_, 4096));
    password = Trimmed(std::move(password));
  }
  if (!user.empty()) mosquitto_username_pw_set(client_, user.c_str(), password.empty() ? nullptr : password.c_str());
  return absl::OkStatus();
}

absl::Status MqttLink::Connect() {
  client_ = mosquitto_new(device_.c_str(), /*clean_session=*/true, this);
  if (client_ == nullptr) return absl::ResourceExhaustedError(StrCat("MQTT client: ", std::strerror(errno)));
  mosquitto_int_option(client_, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  mosquitto_int_option(client_, MOSQ_OPT_SEND_MAXIMUM, 65535);
  mosquitto_int_option(client_, MOSQ_OPT_RECEIVE_MAXIMUM, 65535);
  mosquitto_int_option(client_, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_connect_v5_callback_set(client_, &MqttLink::OnConnect);
  mosquitto_subscribe_v5_callback_set(client_, &MqttLink::OnSubscribe);
  mosquitto_publish_v5_callback_set(client_, &MqttLink::OnPublish);
  mosquitto_message_v5_callback_set(client_, &MqttLink::OnMessage);
  constexpr std::string_view kWill = R"({"state":"offline"})";
  mosquitto_will_set_v5(client_, (topic_prefix_ + "status").c_str(), kWill.size(), kWill.data(), 1, false, nullptr);
  RETURN_IF_ERROR(Secure());
  const int code = mosquitto_connect_bind_v5(client_, options_.host.c_str(), options_.port, options_.keepalive_s,
                                             nullptr, nullptr);
  if (code != MOSQ_ERR_SUCCESS) {
    return absl::UnavailableError(StrCat("broker ", options_.host, ":", options_.port, ": ",
                                         code == MOSQ_ERR_ERRNO ? std::strerror(errno) : mosquitto_strerror(code)));
  }
  fd_ = mosquitto_socket(client_);
  watching_write_ = true;
  poller_.Watch(fd_, this, true);
  return absl::OkStatus();
}

void MqttLink::Drop(std::string_view reason) {
  if (fd_ >= 0) poller_.Forget(fd_);
  fd_ = -1;
  if (client_ != nullptr) mosquitto_destroy(client_);
  client_ = nullptr;
  failure_.clear();
  in_flight_.clear();
  up_ = false;
  connect_at_us_ = -1;  // the next Tick sets the time
  listener_.OnDown(reason);
}

void MqttLink::Check(int code) {
  if (client_ == nullptr) return;
  if (!failure_.empty()) {
    const std::string failure = failure_;
    Drop(failure);
  } else if (code != MOSQ_ERR_SUCCESS) {
    Drop(code == MOSQ_ERR_ERRNO ? std::strerror(errno) : mosquitto_strerror(code));
  } else {
    Watch();
  }
}

void MqttLink::Watch() {
  const bool writing = mosquitto_want_write(client_);
  if (writing == watching_write_) return;
  watching_write_ = writing;
  poller_.Watch(fd_, this, writing);
}

void MqttLink::Cork(bool on) {
  // Through TLS a record is a segment anyway, and corking would only hold the last one back.
  if (fd_ < 0 || options_.tls) return;
  const int value = on ? 1 : 0;
  setsockopt(fd_, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

void MqttLink::EndBurst() {
  Cork(false);
  if (client_ != nullptr) Check(MOSQ_ERR_SUCCESS);
}

bool MqttLink::IsInFlight(uint64_t boot, uint64_t seq) const {
  return std::any_of(in_flight_.begin(), in_flight_.end(),
                     [=](const InFlight& one) { return one.boot == boot && one.seq == seq; });
}

bool MqttLink::CanSend() const {
  return up_ && in_flight_.size() < receive_maximum_ && !mosquitto_want_write(client_);
}

bool MqttLink::Send(const OpenEvent& event) {
  if (!CanSend()) return false;
  topic_ = topic_prefix_;
  topic_ += KindName(event.kind);
  int mid = 0;
  const int code = mosquitto_publish_v5(client_, &mid, topic_.c_str(), static_cast<int>(event.body.size()),
                                        event.body.data(), 1, false, nullptr);
  if (code != MOSQ_ERR_SUCCESS) {
    failure_ = mosquitto_strerror(code);  // dropped at the end of the burst
    up_ = false;
    return false;
  }
  in_flight_.push_back({mid, event.boot, event.seq});
  return true;
}

void MqttLink::OnReady(bool readable, bool writable) {
  if (client_ != nullptr && readable) Check(mosquitto_loop_read(client_, 1));
  if (client_ != nullptr && writable) Check(mosquitto_loop_write(client_, 1));
}

void MqttLink::Tick(int64_t now_us) {
  if (client_ == nullptr) {
    if (connect_at_us_ < 0) connect_at_us_ = now_us + backoff_.NextMs() * 1000;
    if (now_us < connect_at_us_) return;
    if (const absl::Status status = Connect(); !status.ok()) Drop(MessageOf(status));
    misc_at_us_ = now_us + 1'000'000;
  } else if (now_us >= misc_at_us_) {
    misc_at_us_ = now_us + 1'000'000;
    Check(mosquitto_loop_misc(client_));
  }
}

void MqttLink::Close() {
  if (client_ == nullptr) return;
  mosquitto_disconnect_v5(client_, MQTT_RC_DISCONNECT_WITH_WILL_MSG, nullptr);
  poller_.Forget(fd_);
  fd_ = -1;
  mosquitto_destroy(client_);
  client_ = nullptr;
  up_ = false;
}

void MqttLink::Up() {
  up_ = true;
  backoff_.Reset();
  listener_.OnUp();
}

void MqttLink::OnConnect(mosquitto* client, void* self, int code, int, const mqtt5__property* properties) {
  auto& link = *static_cast<MqttLink*>(self);
  if (code != 0) {
    link.failure_ = StrCat("the broker refused the connection: ", mosquitto_reason_string(code));
    return;
  }
  uint16_t maximum = 65535;
  mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &maximum, false);
  link.receive_maximum_ = maximum;
  if (!link.options_.receipts) return link.Up();
  // No event before the subscription stands: a receipt that nobody hears would cost a resend.
  const int result = mosquitto_subscribe_v5(client, nullptr, (link.topic_prefix_ + "ack").c_str(), 1, 0, nullptr);
  if (result != MOSQ_ERR_SUCCESS) link.failure_ = StrCat("subscribing: ", mosquitto_strerror(result));
}

void MqttLink::OnSubscribe(mosquitto*, void* self, int, int count, const int* granted, const mqtt5__property*) {
  auto& link = *static_cast<MqttLink*>(self);
  if (count != 1 || granted[0] >= 0x80) {
    link.failure_ = StrCat("the broker refused the subscription to ", link.topic_prefix_, "ack");
  } else {
    link.Up();
  }
}

void MqttLink::OnPublish(mosquitto*, void* self, int mid, int code, const mqtt5__property*) {
  auto& link = *static_cast<MqttLink*>(self);
  // Brokers acknowledge in order (MQTT 5, 4.6), so the first is nearly always the one.
  const auto found = std::find_if(link.in_flight_.begin(), link.in_flight_.end(),
                                  [mid](const InFlight& one) { return one.mid == mid; });
  if (found == link.in_flight_.end()) return;
  const InFlight one = *found;
  link.in_flight_.erase(found);
  if (code >= 0x80) {
    link.listener_.OnBrokerRefusal(one.boot, one.seq, code);
  } else if (code == MQTT_RC_NO_MATCHING_SUBSCRIBERS && !link.IsInFlight(one.boot, one.seq)) {
    link.listener_.OnUnheard(one.boot, one.seq);
  } else {
    link.listener_.OnPuback(one.boot, one.seq);
  }
}

void MqttLink::OnMessage(mosquitto*, void* self, const mosquitto_message* message, const mqtt5__property*) {
  auto& link = *static_cast<MqttLink*>(self);
  link.listener_.OnReceipt(ParseReceipt(
      {static_cast<const char*>(message->payload), static_cast<size_t>(std::max(message->payloadlen, 0))}));
}

}  // namespace sluice::sim
