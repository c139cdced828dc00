// Messages to a device's sessions: deliveries, what its clients publish to themselves, retained messages, wills.
#include <algorithm>
#include <utility>

#include "devices/transport/mqtt_server.h"
#include "devices/transport/mqtt_server_connection.h"

namespace sluice::transport {

MqttDelivered MqttServer::Deliver(std::string_view device, const MqttOutgoing& message, int64_t now_ms) {
  MqttPublish publish;
  publish.topic = message.topic;
  publish.payload = message.payload;
  publish.qos = std::min<uint8_t>(message.qos, 1);
  publish.retain = message.retain;
  if (message.properties != nullptr) publish.properties = *message.properties;
  if (message.expiry_s > 0) publish.properties.SetNumber(MqttProperty::kMessageExpiryInterval, message.expiry_s);
  const std::string name(device);
  const auto found = devices_.find(name);
  if (found == devices_.end() && !message.retain) return {};
  std::shared_ptr<const MqttKept> kept = MqttKept::Make(publish, {}, now_ms);
  if (kept == nullptr) return {.dropped = 1};
  MqttServerDevice& to = DeviceOf(name);
  const MqttDelivered delivered = Spread(to, publish, std::move(kept), {}, message.tag, now_ms);
  ForgetIfEmpty(to);
  return delivered;
}

MqttDelivered MqttServer::Spread(MqttServerDevice& device, const MqttPublish& publish, std::shared_ptr<const MqttKept> kept,
                                 std::string_view publisher, uint64_t tag, int64_t now_ms) {
  const auto keep = [&] {
    if (kept == nullptr) kept = MqttKept::Make(publish, publisher, now_ms);
    return kept;
  };
  if (publish.retain) Retain(device, keep());
  MqttDelivered delivered;
  for (MqttServerSession* session : device.sessions) {
    MqttSubscriptions::Match match = session->subscriptions.Find(publish.topic, session->client_id == publisher);
    if (!match.matches) continue;
    MqttDelivery delivery;
    delivery.message = keep();
    delivery.qos = std::min(publish.qos, match.qos);
    delivery.retain = publish.retain && match.retain_as_published;
    delivery.subscription_identifiers = std::move(match.identifiers);
    delivery.tag = tag;
    switch (Enqueue(*session, std::move(delivery), now_ms)) {
      case Queued::kSent: ++delivered.sent; break;
      case Queued::kWaiting: ++delivered.queued; break;
      case Queued::kDropped: ++delivered.dropped; break;
    }
  }
  return delivered;
}

MqttServer::Queued MqttServer::Enqueue(MqttServerSession& session, MqttDelivery delivery, int64_t now_ms) {
  MqttServerConnection* const connection = session.connection;
  if (delivery.qos == 0) {
    using SentNow = MqttServerConnection::SentNow;
    const SentNow sent = connection == nullptr ? SentNow::kNoRoom : connection->SendNow(delivery, now_ms);
    Report(session, delivery,
           sent == SentNow::kSent       ? MqttDeliveryEnd::kAcknowledged
           : sent == SentNow::kTooLarge ? MqttDeliveryEnd::kTooLarge
                                        : MqttDeliveryEnd::kDropped,
           MqttReason::kSuccess);
    return sent == SentNow::kSent ? Queued::kSent : Queued::kDropped;
  }
  const size_t bytes = delivery.bytes();
  MqttOutbound& outbound = session.outbound;
  if (outbound.size() >= options_.max_queued_messages || outbound.bytes() + bytes > options_.max_queued_bytes ||
      figures_.queued_bytes + bytes > options_.max_total_queued_bytes) {
    Report(session, delivery, MqttDeliveryEnd::kDropped, MqttReason::kSuccess);
    return Queued::kDropped;
  }
  outbound.Add(std::move(delivery));
  ++figures_.queued;
  figures_.queued_bytes += bytes;
  if (connection == nullptr) return Queued::kWaiting;
  connection->SendDeliveries(now_ms);
  return outbound.size() == outbound.in_flight() ? Queued::kSent : Queued::kWaiting;
}

void MqttServer::Ended(const MqttServerSession& session, const MqttDelivery& delivery, MqttDeliveryEnd end, MqttReason reason) {
  --figures_.queued;
  figures_.queued_bytes -= delivery.bytes();
  if (end == MqttDeliveryEnd::kAcknowledged) ++figures_.deliveries_acknowledged;
  Report(session, delivery, end, reason);
}

void MqttServer::Report(const MqttServerSession& session, const MqttDelivery& delivery, MqttDeliveryEnd end,
                        MqttReason reason) {
  switch (end) {
    case MqttDeliveryEnd::kAcknowledged: break;
    case MqttDeliveryEnd::kRefused: ++figures_.deliveries_refused; break;
    case MqttDeliveryEnd::kExpired: ++figures_.deliveries_expired; break;
    case MqttDeliveryEnd::kTooLarge: ++figures_.deliveries_too_large; break;
    case MqttDeliveryEnd::kDropped: ++figures_.deliveries_dropped; break;
  }
  if (delivery.tag != 0) host_.DeliveryEnded(delivery.tag, *session.identity, session.client_id, end, reason);
}

// ---- retained messages ----

void MqttServer::Retain(MqttServerDevice& device, const std::shared_ptr<const MqttKept>& message) {
  MqttRetained& retained = device.retained;
  figures_.retained -= retained.size();
  figures_.retained_bytes -= retained.bytes();
  retained.Remove(message->publish().topic);
  // What the device may have besides it, and what the others leave of the whole.
  const size_t bytes = message->bytes(), others = figures_.retained_bytes;
  const size_t most = std::min(options_.max_retained_bytes,
                               options_.max_total_retained_bytes - std::min(others, options_.max_total_retained_bytes));
  if (message->publish().payload.empty()) {
    // Nothing is kept of it.
  } else if (bytes > most || options_.max_retained_messages == 0) {
    ++figures_.retained_evicted;   // it is itself what there is no room for
  } else {
    while (retained.size() >= options_.max_retained_messages || retained.bytes() + bytes > most) {
      retained.RemoveOldest();
      ++figures_.retained_evicted;
    }
    retained.Set(message);
  }
  figures_.retained += retained.size();
  figures_.retained_bytes += retained.bytes();
}

std::vector<std::shared_ptr<const MqttKept>> MqttServer::RetainedOf(MqttServerDevice& device, std::string_view filter,
                                                                    int64_t now_ms) {
  figures_.retained -= device.retained.size();
  figures_.retained_bytes -= device.retained.bytes();
  auto found = device.retained.Find(filter, now_ms);
  figures_.retained += device.retained.size();
  figures_.retained_bytes += device.retained.bytes();
  return found;
}

// ---- wills ----

void MqttServer::PublishWill(MqttServerSession& session, int64_t now_ms) {
  WaitingWill will{session.identity, session.client_id, std::move(session.will)};
  session.will = nullptr;
  session.will_due_ms = kMqttNever;
  if (OfferWill(will, now_ms)) return;
  if (waiting_wills_.size() < options_.max_waiting_wills) {
    waiting_wills_.push_back(std::move(will));
  } else {
    ++figures_.wills_dropped;
  }
}

bool MqttServer::OfferWill(const WaitingWill& waiting, int64_t now_ms) {
  if (host_.TurnIsOver()) return false;
  // Its message expiry begins when it is published (5.0, 3.1.3.2.4).
  const MqttPublish& will = waiting.will->publish();
  const MqttVerdict verdict =
      host_.Publish(0, {*waiting.identity, waiting.client_id, 0, will.topic, will.payload, will.qos, false, will.retain, true,
                        will.properties});
  switch (verdict.kind) {
    case MqttVerdict::Kind::kNoRoom: return false;
    case MqttVerdict::Kind::kRefused: ++figures_.publishes_refused; return true;
    default: break;
  }
  ++figures_.wills;
  MqttServerDevice& device = DeviceOf(waiting.identity->device);
  Spread(device, will, nullptr, waiting.client_id, 0, now_ms);
  // A device that is being attached to or detached from has sessions; another is made only for what it retains.
  ForgetIfEmpty(device);
  return true;
}

}  // namespace sluice::transport
