// What a session has yet to deliver at QoS 1: messages in flight and, behind them, those that wait. In order. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "devices/transport/mqtt_fifo.h"
#include "devices/transport/mqtt_kept.h"

namespace sluice::transport {

struct MqttDelivery {
  std::shared_ptr<const MqttKept> message;
  uint8_t qos = 0;
  bool retain = false;                              // as it goes out
  std::vector<uint32_t> subscription_identifiers;   // of the subscriptions that match
  uint64_t tag = 0;
  size_t bytes() const { return message->bytes() + sizeof(*this); }
};

class MqttOutbound {
 public:
  struct Flight {
    MqttDelivery delivery;
    uint16_t packet_id = 0;
    bool sent_before = false;   // on any connection: DUP
    bool sent = false;          // on this one
  };

  void Add(MqttDelivery delivery);
  // What is to be sent next on this connection with at most `window` unacknowledged; null: nothing, or the window is full.
  // The caller sends it and calls Sent, or Drop.
  Flight* Next(size_t window);
  void Sent(Flight& flight);
  // Ends the one that Next gave without its being sent.
  MqttDelivery Drop();
  // PUBACK. False: no such packet id was sent on this connection.
  bool Acknowledged(uint16_t packet_id, MqttDelivery* delivery);
  bool IsInFlight(uint16_t packet_id) const;
  void Disconnected();
  // Takes all of them out, as when the session ends.
  std::vector<MqttDelivery> TakeAll();

  size_t size() const { return flights_.size() + waiting_.size(); }
  size_t in_flight() const { return in_flight_; }   // sent on this connection, not acknowledged
  size_t bytes() const { return bytes_; }

 private:
  uint16_t FreePacketId();

  std::vector<Flight> flights_;       // have a packet id; sent ones before those still to be sent again
  MqttFifo<MqttDelivery> waiting_;
  size_t in_flight_ = 0;
  size_t bytes_ = 0;
  uint16_t last_id_ = 0;
};

}  // namespace sluice::transport
