// One session and one device as mqtt_sessions.cc keeps them: data without behaviour, shared with the connections.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "devices/transport/mqtt_inbound.h"
#include "devices/transport/mqtt_kept.h"
#include "devices/transport/mqtt_outbound.h"
#include "devices/transport/mqtt_retained.h"
#include "devices/transport/mqtt_session.h"
#include "devices/transport/mqtt_subscriptions.h"

namespace sluice::transport {

class MqttServerConnection;
struct MqttServerDevice;

struct MqttServerSession {
  MqttServerSession(size_t max_slots, uint32_t session_slot, uint32_t session_generation)
      : slot(session_slot), generation(session_generation), inbound(max_slots) {}

  const uint32_t slot, generation;              // with a slot of `inbound` they make a token
  MqttServerDevice* device = nullptr;
  std::string client_id;
  std::shared_ptr<const MqttIdentity> identity; // of the newest connection
  MqttServerConnection* connection = nullptr;   // null: not connected
  uint32_t expiry_s = 0;                        // after the connection
  uint64_t attached = 0;                        // higher with each connection that came, of any session
  int64_t detached_ms = 0;                      // when the connection ended
  int64_t expires_ms = kMqttNever;
  MqttSubscriptions subscriptions;
  MqttInbound inbound;
  MqttOutbound outbound;
  std::shared_ptr<const MqttKept> will;
  uint32_t will_delay_s = 0;
  int64_t will_due_ms = kMqttNever;
  int64_t timer_ms = kMqttNever;                // armed for
};

struct MqttServerDevice {
  std::string name;
  std::shared_ptr<const MqttIdentity> identity; // of the newest connection; null: there was none
  std::vector<MqttServerSession*> sessions;     // few
  MqttRetained retained;
};

}  // namespace sluice::transport
