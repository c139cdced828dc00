#include "devices/transport/mqtt_outbound.h"

#include <algorithm>
#include <utility>

namespace sluice::transport {

void MqttOutbound::Add(MqttDelivery delivery) {
  bytes_ += delivery.bytes();
  waiting_.push_back(std::move(delivery));
}

uint16_t MqttOutbound::FreePacketId() {
  // The window is at most 65,534 (see Next), so there is a free one.
  do {
    if (++last_id_ == 0) last_id_ = 1;
  } while (std::any_of(flights_.begin(), flights_.end(), [this](const Flight& it) { return it.packet_id == last_id_; }));
  return last_id_;
}

MqttOutbound::Flight* MqttOutbound::Next(size_t window) {
  if (in_flight_ >= std::min<size_t>(window, 65'534)) return nullptr;
  // What is sent on this connection stands before what is not: acknowledgements take from anywhere in the former.
  if (in_flight_ < flights_.size()) return &flights_[in_flight_];
  if (waiting_.empty()) return nullptr;
  const uint16_t packet_id = FreePacketId();
  flights_.push_back({std::move(waiting_.front()), packet_id, false, false});
  waiting_.pop_front();
  return &flights_.back();
}

void MqttOutbound::Sent(Flight& flight) {
  flight.sent = flight.sent_before = true;
  ++in_flight_;
}

MqttDelivery MqttOutbound::Drop() {
  const auto at = flights_.begin() + static_cast<std::ptrdiff_t>(in_flight_);
  MqttDelivery delivery = std::move(at->delivery);
  flights_.erase(at);
  bytes_ -= delivery.bytes();
  return delivery;
}

bool MqttOutbound::Acknowledged(uint16_t packet_id, MqttDelivery* delivery) {
  const auto end = flights_.begin() + static_cast<std::ptrdiff_t>(in_flight_);
  const auto found = std::find_if(flights_.begin(), end, [&](const Flight& it) { return it.packet_id == packet_id; });
  if (found == end) return false;
  *delivery = std::move(found->delivery);
  flights_.erase(found);
  --in_flight_;
  bytes_ -= delivery->bytes();
  return true;
}

bool MqttOutbound::IsInFlight(uint16_t packet_id) const {
  return std::any_of(flights_.begin(), flights_.begin() + static_cast<std::ptrdiff_t>(in_flight_),
                     [&](const Flight& it) { return it.packet_id == packet_id; });
}

void MqttOutbound::Disconnected() {
  for (Flight& flight : flights_) flight.sent = false;
  in_flight_ = 0;
}

std::vector<MqttDelivery> MqttOutbound::TakeAll() {
  std::vector<MqttDelivery> all;
  for (Flight& flight : flights_) all.push_back(std::move(flight.delivery));
  for (MqttDelivery& delivery : waiting_) all.push_back(std::move(delivery));
  flights_.clear();
  waiting_.clear();
  in_flight_ = bytes_ = 0;
  return all;
}

}  // namespace sluice::transport
