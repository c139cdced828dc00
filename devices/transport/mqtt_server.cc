#include "devices/transport/mqtt_server.h"

#include <algorithm>
#include <utility>

#include "devices/transport/mqtt_server_connection.h"

namespace sluice::transport {
namespace {

constexpr uint32_t kGenerations = 1u << 24, kSessionSlots = 1u << 24;

MqttSessionOptions InRange(MqttSessionOptions options) {
  options.receive_maximum = std::max<uint16_t>(options.receive_maximum, 1);
  options.max_packet_bytes = std::clamp<uint32_t>(options.max_packet_bytes, 1024, kMqttMaxPacket);
  options.max_connect_bytes = std::clamp<uint32_t>(options.max_connect_bytes, 256, options.max_packet_bytes);
  options.max_client_id_bytes = std::max<size_t>(options.max_client_id_bytes, 23);   // 3.1.3-5
  options.publish_burst = std::max(options.publish_burst, 1.0);
  options.max_output_bytes = std::max<size_t>(options.max_output_bytes, 1024);
  options.max_sessions = std::min<size_t>(options.max_sessions, kSessionSlots);
  return options;
}

}  // namespace

std::unique_ptr<MqttSessions> MakeMqttSessions(MqttSessionOptions options, MqttHost& host, Random& random) {
  return std::make_unique<MqttServer>(std::move(options), host, random);
}

MqttServer::MqttServer(MqttSessionOptions options, MqttHost& host, Random& random)
    : options_(InRange(std::move(options))), host_(host), random_(random) {}

MqttServer::~MqttServer() = default;

// Publishes in flight on this connection and, some times over, what earlier connections left.
size_t MqttServer::max_slots() const { return std::clamp<size_t>(options_.receive_maximum * size_t{4}, 1024, 65'535); }

std::unique_ptr<MqttConnection> MqttServer::Open(uint64_t id, int64_t now_ms) {
  auto connection = std::make_unique<MqttServerConnection>(*this, id, now_ms);
  connections_[id] = connection.get();
  ++figures_.connections;
  Arm(*connection, now_ms + options_.connect_timeout_ms);
  return connection;
}

void MqttServer::Gone(MqttServerConnection& connection) {
  --figures_.connections;
  timers_.erase({connection.timer_ms(), connection.id(), 0});
  const auto found = connections_.find(connection.id());
  if (found != connections_.end() && found->second == &connection) connections_.erase(found);
}

// ---- answers of the host ----

MqttServerSession* MqttServer::FindSession(uint64_t token) const {
  const auto slot = static_cast<uint32_t>(token >> 16) & (kSessionSlots - 1);
  if (slot >= sessions_.size() || sessions_[slot] == nullptr) return nullptr;
  return sessions_[slot]->generation == token >> 40 ? sessions_[slot].get() : nullptr;
}

void MqttServer::Safe(uint64_t token, int64_t now_ms) {
  MqttServerSession* const session = FindSession(token);
  if (session == nullptr || !session->inbound.Done(static_cast<uint16_t>(token), MqttReason::kSuccess, {})) return;
  if (session->connection != nullptr) session->connection->WindowMoved(now_ms);
}

void MqttServer::Refused(uint64_t token, MqttReason reason, std::string_view text, int64_t now_ms) {
  MqttServerSession* const session = FindSession(token);
  if (session == nullptr || !session->inbound.Done(static_cast<uint16_t>(token), reason, text)) return;
  ++figures_.publishes_refused;
  if (session->connection != nullptr) session->connection->WindowMoved(now_ms);
}

void MqttServer::Lost(uint64_t token, int64_t now_ms) {
  MqttServerSession* const session = FindSession(token);
  if (session == nullptr || !session->inbound.Forget(static_cast<uint16_t>(token))) return;
  if (session->connection != nullptr) {
    session->connection->Drop(MqttReason::kImplementationSpecificError, "a publish was lost before it was safe: send it again",
                              now_ms);
  }
}

void MqttServer::Resume(int64_t now_ms) {
  while (!waiting_wills_.empty() && OfferWill(waiting_wills_.front(), now_ms)) waiting_wills_.pop_front();
  std::vector<MqttServerConnection*> all;
  for (const auto& [id, connection] : connections_) all.push_back(connection);
  std::sort(all.begin(), all.end(), [this](const MqttServerConnection* a, const MqttServerConnection* b) {
    const bool a_later = a->id() <= served_last_, b_later = b->id() <= served_last_;   // its turn was in the last round
    return a_later != b_later ? b_later : a->id() < b->id();
  });
  // In turn, so that none takes all of the room or of the time.
  std::vector<MqttServerConnection*> waiting;
  for (MqttServerConnection* connection : all) {
    if (host_.TurnIsOver()) return;
    served_last_ = connection->id();
    if (connection->waits_for_turn() && !connection->waits()) connection->Resume(now_ms);
    if (connection->waits() && connection->OfferWaiting(now_ms)) waiting.push_back(connection);
  }
  while (!waiting.empty()) {
    std::erase_if(waiting, [&](MqttServerConnection* connection) {
      return host_.TurnIsOver() || !connection->OfferWaiting(now_ms);
    });
  }
  for (MqttServerConnection* connection : all) connection->Resume(now_ms);
}

// ---- sessions ----

MqttServerDevice& MqttServer::DeviceOf(const std::string& name) {
  std::unique_ptr<MqttServerDevice>& device = devices_[name];
  if (device == nullptr) {
    device = std::make_unique<MqttServerDevice>();
    device->name = name;
  }
  return *device;
}

void MqttServer::ForgetIfEmpty(MqttServerDevice& device) {
  if (device.sessions.empty() && device.retained.size() == 0) devices_.erase(std::string(device.name));
}

MqttServerSession* MqttServer::NewSession(MqttServerDevice& device, std::string_view client_id) {
  uint32_t slot = static_cast<uint32_t>(sessions_.size());
  if (free_slots_.empty()) {
    sessions_.emplace_back();
    generations_.push_back(0);
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  // Never 0, so that no token is.
  generations_[slot] = generations_[slot] + 1 < kGenerations ? generations_[slot] + 1 : 1;
  sessions_[slot] = std::make_unique<MqttServerSession>(max_slots(), slot, generations_[slot]);
  MqttServerSession* const session = sessions_[slot].get();
  session->device = &device;
  session->client_id = std::string(client_id);
  device.sessions.push_back(session);
  ++figures_.sessions;
  return session;
}

// What absent devices have left must not keep one out that is here.
bool MqttServer::EvictOfTheGreediest(int64_t now_ms) {
  const std::string* greediest = nullptr;
  size_t most = 0;
  for (const auto& [name, device] : devices_) {
    const auto absent = static_cast<size_t>(std::count_if(device->sessions.begin(), device->sessions.end(),
                                                          [](const auto* session) { return session->connection == nullptr; }));
    if (absent <= most) continue;
    most = absent;
    greediest = &name;
  }
  return greediest != nullptr && EvictOne(std::string(*greediest), now_ms);
}

bool MqttServer::EvictOne(const std::string& device, int64_t now_ms) {
  MqttServerSession* oldest = nullptr;
  for (MqttServerSession* session : DeviceOf(device).sessions) {
    if (session->connection == nullptr && (oldest == nullptr || session->detached_ms < oldest->detached_ms)) oldest = session;
  }
  if (oldest == nullptr) return false;
  ++figures_.sessions_evicted;
  End(*oldest, now_ms);
  return true;
}

// The newest stays: the older ones may be dead and not know it yet, as of a device that comes with another client id each time.
bool MqttServer::DropOldest(const std::string& device, int64_t now_ms) {
  MqttServerSession* oldest = nullptr;
  for (MqttServerSession* session : DeviceOf(device).sessions) {
    if (session->connection != nullptr && (oldest == nullptr || session->attached < oldest->attached)) oldest = session;
  }
  if (oldest == nullptr) return false;
  ++figures_.connections_evicted;
  oldest->connection->Drop(MqttReason::kQuotaExceeded, "too many connections of this device", now_ms);
  return true;
}

MqttServer::Attached MqttServer::Attach(MqttServerConnection& connection, std::shared_ptr<const MqttIdentity> identity,
                                        std::string_view client_id, bool clean, MqttServerSession** session, int64_t now_ms) {
  const auto find = [&]() -> MqttServerSession* {
    for (MqttServerSession* it : DeviceOf(identity->device).sessions) {
      if (it->client_id == client_id) return it;
    }
    return nullptr;
  };
  MqttServerSession* found = find();
  if (found != nullptr && found->connection != nullptr) {
    ++figures_.taken_over;
    // A delayed will of a session that goes on is not published: it is connected again (3.1.3.2.2).
    found->connection->Drop(MqttReason::kSessionTakenOver, "another connection has the same client identifier", now_ms);
    found = find();   // the session may have ended with its connection
  }
  if (found != nullptr && clean) {
    End(*found, now_ms);
    found = nullptr;
  }
  const bool resumed = found != nullptr;
  if (!resumed) {
    const auto device_full = [&] {
      return DeviceOf(identity->device).sessions.size() >= options_.max_sessions_per_device;
    };
    while (device_full() || figures_.sessions >= options_.max_sessions) {
      if (EvictOne(identity->device, now_ms) || (device_full() && DropOldest(identity->device, now_ms))) continue;
      if (!device_full() && EvictOfTheGreediest(now_ms)) continue;
      ForgetIfEmpty(DeviceOf(identity->device));
      return Attached::kTooMany;
    }
    found = NewSession(DeviceOf(identity->device), client_id);
  }
  found->connection = &connection;
  found->attached = ++attached_;
  found->device->identity = identity;
  found->identity = std::move(identity);
  found->expires_ms = found->will_due_ms = kMqttNever;
  *session = found;
  return resumed ? Attached::kResumed : Attached::kNew;
}

void MqttServer::Detach(MqttServerSession& session, bool publish_will, int64_t now_ms) {
  session.connection = nullptr;
  session.detached_ms = now_ms;
  session.inbound.Disconnected();
  session.outbound.Disconnected();
  if (!publish_will) session.will = nullptr;
  if (session.expiry_s == 0 || shut_down_) return End(session, now_ms);
  if (session.will != nullptr) {
    if (session.will_delay_s == 0) {
      PublishWill(session, now_ms);
    } else {
      session.will_due_ms = now_ms + int64_t{1000} * session.will_delay_s;
    }
  }
  const bool for_ever = session.expiry_s == 0xFFFFFFFF;   // 5.0, 3.1.2.11.2
  session.expires_ms = for_ever ? kMqttNever : now_ms + int64_t{1000} * session.expiry_s;
  ArmSession(session);
}

void MqttServer::End(MqttServerSession& session, int64_t now_ms) {
  if (session.will != nullptr) PublishWill(session, now_ms);
  for (const MqttDelivery& delivery : session.outbound.TakeAll()) {
    Ended(session, delivery, MqttDeliveryEnd::kDropped, MqttReason::kSuccess);
  }
  MqttServerDevice& device = *session.device;
  std::erase(device.sessions, &session);
  timers_.erase({session.timer_ms, 0, TokenOf(session, 0)});
  const uint32_t slot = session.slot;
  sessions_[slot] = nullptr;   // `session` is gone
  free_slots_.push_back(slot);
  --figures_.sessions;
  ForgetIfEmpty(device);
}

void MqttServer::Forget(absl::FunctionRef<bool(const MqttIdentity&)> whom, MqttReason reason, std::string_view text,
                        int64_t now_ms) {
  std::erase_if(waiting_wills_, [&](const WaitingWill& it) { return whom(*it.identity); });
  std::vector<std::string> names;
  for (const auto& [name, device] : devices_) names.push_back(name);
  for (const std::string& name : names) {
    MqttServerDevice& device = DeviceOf(name);
    if (device.identity != nullptr && whom(*device.identity)) {
      figures_.retained -= device.retained.size();
      figures_.retained_bytes -= device.retained.bytes();
      device.retained = {};
    }
    // Ending the last session ends the device, too.
    for (MqttServerSession* session : std::vector<MqttServerSession*>(device.sessions)) {
      if (!whom(*session->identity)) continue;
      session->will = nullptr;
      session->expiry_s = 0;
      if (session->connection != nullptr) {
        session->connection->Drop(reason, text, now_ms, false);   // ends the session
      } else {
        End(*session, now_ms);
      }
    }
    if (const auto left = devices_.find(name); left != devices_.end()) ForgetIfEmpty(*left->second);
  }
}

void MqttServer::Shutdown(int64_t now_ms) {
  shut_down_ = true;
  std::vector<MqttServerConnection*> all;
  for (const auto& [id, connection] : connections_) all.push_back(connection);
  for (MqttServerConnection* connection : all) {
    connection->Drop(MqttReason::kServerShuttingDown, "the server is shutting down", now_ms, false);
  }
}

std::string MqttServer::NewClientId() {
  uint8_t bytes[16];
  random_.Fill(bytes);
  std::string id = "sluice-";
  for (uint8_t byte : bytes) {
    constexpr char kHex[] = "0123456789abcdef";
    id += kHex[byte >> 4];
    id += kHex[byte & 15];
  }
  return id;
}

// ---- time ----

void MqttServer::Arm(MqttServerConnection& connection, int64_t when_ms) {
  if (when_ms >= connection.timer_ms()) return;   // it fires earlier anyhow, and then looks again
  timers_.erase({connection.timer_ms(), connection.id(), 0});
  connection.set_timer_ms(when_ms);
  timers_.insert({when_ms, connection.id(), 0});
}

void MqttServer::ArmSession(MqttServerSession& session) {
  const int64_t when_ms = std::min(session.will_due_ms, session.expires_ms);
  if (when_ms >= session.timer_ms) return;
  timers_.erase({session.timer_ms, 0, TokenOf(session, 0)});
  session.timer_ms = when_ms;
  timers_.insert({when_ms, 0, TokenOf(session, 0)});
}

void MqttServer::Tick(int64_t now_ms) {
  while (!timers_.empty() && timers_.begin()->when_ms <= now_ms) {
    const Timer timer = *timers_.begin();
    timers_.erase(timers_.begin());
    if (timer.connection == 0) {
      MqttServerSession& session = *FindSession(timer.token);   // it took its timer with it if it were gone
      session.timer_ms = kMqttNever;
      OnSessionTimer(session, now_ms);
    } else if (const auto found = connections_.find(timer.connection); found != connections_.end()) {
      found->second->set_timer_ms(kMqttNever);
      found->second->OnTimer(now_ms);
    }
  }
}

void MqttServer::OnSessionTimer(MqttServerSession& session, int64_t now_ms) {
  if (session.connection != nullptr) return;
  if (session.will != nullptr && now_ms >= session.will_due_ms) PublishWill(session, now_ms);
  if (now_ms >= session.expires_ms) {
    ++figures_.sessions_expired;
    return End(session, now_ms);
  }
  ArmSession(session);
}

// ---- what is seen ----

MqttSessionFigures MqttServer::figures() const {
  MqttSessionFigures figures = figures_;
  for (const auto& session : sessions_) {
    if (session == nullptr) continue;
    figures.inflight += session->inbound.taken();
    figures.subscriptions += session->subscriptions.size();
  }
  return figures;
}

std::vector<MqttConnectionStatus> MqttServer::connections() const {
  std::vector<MqttConnectionStatus> all;
  for (const auto& [id, connection] : connections_) all.push_back(connection->status());
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.connection < b.connection; });
  return all;
}

}  // namespace sluice::transport
