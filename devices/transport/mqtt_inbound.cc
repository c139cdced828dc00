#include "devices/transport/mqtt_inbound.h"

#include <algorithm>
#include <utility>

namespace sluice::transport {

void MqttInbound::Set(uint16_t slot, State state) {
  if (slots_[slot].state == State::kTaken) --taken_;
  if (state == State::kTaken) ++taken_;
  slots_[slot].state = state;
}

void MqttInbound::Append(uint16_t slot) {
  if (order_size_ == order_.size()) {
    std::vector<uint16_t> larger(order_.empty() ? 16 : order_.size() * 2);
    for (size_t i = 0; i < order_size_; ++i) larger[i] = order_[(order_begin_ + i) & (order_.size() - 1)];
    order_ = std::move(larger);
    order_begin_ = 0;
  }
  order_[(order_begin_ + order_size_++) & (order_.size() - 1)] = slot;
  slots_[slot].in_order = true;
  if (!std::exchange(slots_[slot].counts, true)) ++unfinished_;
}

void MqttInbound::Free(uint16_t slot) {
  Slot& it = slots_[slot];
  if (it.has_id) ids_.erase(it.packet_id);
  if (!texts_.empty()) texts_.erase(slot);
  Set(slot, State::kFree);
  it = Slot();
  free_.push_back(slot);
}

MqttInbound::Arrival MqttInbound::Arrived(uint16_t packet_id, uint8_t qos, bool dup, uint32_t digest, uint16_t* slot) {
  const auto found = ids_.find(packet_id);
  Arrival arrival = Arrival::kNew;
  if (found != ids_.end()) {
    Slot& known = slots_[found->second];
    // A device that lost its memory begins with the same packet ids again: only the same content makes a repetition, anything
    // else would be lost by taking it for one. At QoS 1 DUP has to say so, too; at QoS 2 it need not (4.3.3).
    if (known.qos == qos && known.digest == digest && (qos == 2 || dup)) {
      *slot = found->second;
      if (!known.in_order) {
        if (known.state == State::kReceived || known.state == State::kWritten) Set(*slot, State::kDone);
        Append(*slot);
      }
      return Arrival::kAgain;
    }
    arrival = Arrival::kReused;
  }
  if (found != ids_.end()) {
    const uint16_t old = found->second;
    slots_[old].has_id = false;
    ids_.erase(found);
    // Nobody will ask for it again; one that is taken is freed by its answer.
    if (!slots_[old].in_order && std::exchange(slots_[old].counts, false)) --unfinished_;
    if (!slots_[old].in_order && slots_[old].state != State::kTaken) Free(old);
  }
  if (free_.empty() && slots_.size() >= max_slots_ && !ForgetOne()) return Arrival::kFull;
  if (free_.empty()) {
    *slot = static_cast<uint16_t>(slots_.size());
    slots_.emplace_back();
  } else {
    *slot = free_.back();
    free_.pop_back();
  }
  slots_[*slot] = {.packet_id = packet_id, .qos = qos, .has_id = true, .digest = digest, .made = ++made_};
  Set(*slot, State::kTaken);
  ids_[packet_id] = *slot;
  Append(*slot);
  return arrival;
}

void MqttInbound::Withdraw(uint16_t slot) {
  --order_size_;   // it is the newest
  --unfinished_;
  Free(slot);
}

// Makes room: a publish of an earlier connection that is safe, at QoS 1 before QoS 2, the oldest. Sent again it is handed up
// again; its PUBREL is answered as an unknown one.
bool MqttInbound::ForgetOne() {
  size_t oldest = slots_.size();
  const auto rank = [](const Slot& it) { return std::pair(it.qos, it.made); };
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& it = slots_[i];
    if (it.counts || (it.state != State::kDone && it.state != State::kReceived)) continue;
    if (oldest == slots_.size() || rank(it) < rank(slots_[oldest])) oldest = i;
  }
  if (oldest == slots_.size()) return false;
  Free(static_cast<uint16_t>(oldest));
  return true;
}

bool MqttInbound::Done(uint16_t slot, MqttReason reason, std::string_view text) {
  if (!IsTaken(slot)) return false;
  Slot& it = slots_[slot];
  if (!it.in_order && !it.has_id) {
    Free(slot);
    return true;
  }
  Set(slot, State::kDone);
  it.reason = reason;
  if (!text.empty()) texts_[slot] = std::string(text);
  return true;
}

bool MqttInbound::Forget(uint16_t slot) {
  if (!IsTaken(slot)) return false;
  Slot& it = slots_[slot];
  if (!it.in_order) {
    Free(slot);
    return false;
  }
  // Stays in its place so that nothing behind it is acknowledged; Disconnected frees it.
  Set(slot, State::kWaiting);
  return true;
}

bool MqttInbound::NextAck(bool tells_refusals, Ack* ack) {
  if (order_size_ == 0) return false;
  const uint16_t slot = order_[order_begin_];
  Slot& it = slots_[slot];
  if (it.state != State::kDone) return false;
  order_begin_ = (order_begin_ + 1) & (order_.size() - 1);
  --order_size_;
  ack->type = it.qos == 2 ? MqttType::kPubrec : MqttType::kPuback;
  ack->packet_id = it.packet_id;
  ack->reason = it.reason;
  ack->text.clear();
  if (!texts_.empty()) {
    const auto text = texts_.find(slot);
    if (text != texts_.end()) ack->text = text->second;
  }
  it.in_order = false;
  if (it.qos == 2 && it.has_id && !(tells_refusals && IsFailure(it.reason))) {
    Set(slot, State::kReceived);   // counts as unfinished until PUBCOMP
  } else {
    it.counts = false;
    --unfinished_;
    Set(slot, State::kWritten);
    written_.push_back(slot);
  }
  return true;
}

void MqttInbound::AcksTaken() {
  for (uint16_t slot : written_) {
    if (slots_[slot].state == State::kWritten) Free(slot);
  }
  written_.clear();
}

MqttInbound::Release MqttInbound::Released(uint16_t packet_id) {
  const auto found = ids_.find(packet_id);
  // A PUBREC that refused has ended it.
  const bool known = found != ids_.end() && slots_[found->second].qos == 2 && slots_[found->second].state != State::kWritten;
  // The sender's quota grows with every PUBCOMP, also of what an earlier connection began or completed (4.9), and it may have
  // used that up by other publishes before it hears of it: so this may fall below 0.
  const auto complete = [this] { unfinished_ = std::max(unfinished_ - 1, -static_cast<int>(max_slots_)); };
  if (!known) {
    complete();
    return Release::kUnknown;
  }
  const Slot& it = slots_[found->second];
  // A PUBREC that was due when the connection was lost may have arrived after all.
  const bool sent = it.state == State::kReceived || (it.state == State::kDone && !it.in_order && !IsFailure(it.reason));
  if (!sent) return Release::kTooEarly;
  Free(found->second);
  complete();
  return Release::kDone;
}

void MqttInbound::Disconnected() {
  order_begin_ = order_size_ = 0;
  unfinished_ = 0;
  written_.clear();
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& it = slots_[i];
    if (it.state == State::kFree) continue;
    it.in_order = it.counts = false;
    if (it.state == State::kWritten) it.state = State::kDone;
    const bool forgotten = !it.has_id && it.state != State::kTaken;
    // A failure that was not told is decided anew; so is what was not taken.
    if (it.state == State::kWaiting || forgotten || (it.state == State::kDone && IsFailure(it.reason))) {
      Free(static_cast<uint16_t>(i));
    }
  }
}

}  // namespace sluice::transport
