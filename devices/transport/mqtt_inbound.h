// What a client published at QoS 1 and 2 and has no acknowledgement of yet: which packet ids are in use, what may be
// acknowledged next, what a repetition repeats. Part of the session's state (4.1). Pure.
//
// A publish lives in a slot. Acknowledgements leave in the order in which the publishes came on this connection (4.6.0), so a
// slot stands in that order until its PUBACK or PUBREC is written. When the connection is lost the order is forgotten and the
// slots stay: a repetition on the next connection finds its slot by the packet id and takes its place in the new order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "devices/transport/mqtt_frame.h"
#include "devices/transport/mqtt_reason.h"

namespace sluice::transport {

class MqttInbound {
 public:
  struct Ack {
    MqttType type = MqttType::kPuback;   // or kPubrec
    uint16_t packet_id = 0;
    MqttReason reason = MqttReason::kSuccess;
    std::string text;                    // reason string; mostly empty
  };
  enum class Arrival {
    kNew,      // to be handed up
    kReused,   // the same, although the packet id is in use: the client forgot, or repeats itself wrongly. Nothing is lost by it
    kAgain,    // repeats what was handed up, or waits to be
    kFull,     // no slot left
  };
  enum class Release { kDone, kUnknown, kTooEarly };

  // max_slots: at most that many, 65,535.
  explicit MqttInbound(size_t max_slots) : max_slots_(max_slots) {}

  // A PUBLISH at QoS 1 or 2 came. `digest` is of topic and payload: a repetition repeats them. *slot is set unless kFull; a new slot is taken (by the host) until Wait, Done or Forget say else.
  Arrival Arrived(uint16_t packet_id, uint8_t qos, bool dup, uint32_t digest, uint16_t* slot);
  // Not taken by the host yet; forgotten when the connection is lost. Taken ends it.
  void Wait(uint16_t slot) { Set(slot, State::kWaiting); }
  void Taken(uint16_t slot) { Set(slot, State::kTaken); }
  // Undoes Arrived, at once: the publish is to come again from the input.
  void Withdraw(uint16_t slot);
  // May be acknowledged. False where the slot is not taken (a late or repeated answer): nothing is done.
  bool Done(uint16_t slot, MqttReason reason, std::string_view text);
  // Taken, but lost: the packet id is free again. True if the slot stood in the order of this connection.
  bool Forget(uint16_t slot);
  // The next acknowledgement in order, if it is due: to be written to the output. Only 5.0 tells a refusal, which ends the
  // exchange at QoS 2; to a client of 3.1.1 it is a PUBREC like any other, and PUBREL follows.
  bool NextAck(bool tells_refusals, Ack* ack);
  // The output was taken to be sent: what was acknowledged in it is over. Without this it is still known when the connection
  // is lost, so that a repetition is answered and not handed up twice.
  void AcksTaken();
  // PUBREL.
  Release Released(uint16_t packet_id);
  void Disconnected();

  bool IsTaken(uint16_t slot) const { return slot < slots_.size() && slots_[slot].state == State::kTaken; }
  // Publishes of this connection that are not completed: what its receive maximum bounds (4.9).
  size_t unfinished() const { return unfinished_ > 0 ? static_cast<size_t>(unfinished_) : 0; }
  size_t in_order() const { return order_size_; }
  size_t slots() const { return slots_.size() - free_.size(); }
  size_t taken() const { return taken_; }

 private:
  enum class State : uint8_t {
    kFree,
    kWaiting,    // for the host to take it
    kTaken,
    kDone,       // to be acknowledged
    kWritten,    // QoS 1: PUBACK is in the output; QoS 2: so is a PUBREC that refuses
    kReceived,   // QoS 2: PUBREC sent, PUBREL awaited
  };
  struct Slot {
    uint16_t packet_id = 0;
    uint8_t qos = 0;
    State state = State::kFree;
    bool in_order = false;   // stands in order_
    bool counts = false;     // in unfinished_: it came on this connection and is not completed
    bool has_id = false;     // ids_ points at it; not when the packet id was used anew
    MqttReason reason = MqttReason::kSuccess;
    uint32_t digest = 0;
    uint64_t made = 0;       // counts up
  };

  void Set(uint16_t slot, State state);
  void Append(uint16_t slot);
  void Free(uint16_t slot);
  bool ForgetOne();

  const size_t max_slots_;
  std::vector<Slot> slots_;
  std::vector<uint16_t> free_;
  std::vector<uint16_t> written_;                     // slots, some of them no more in that state
  absl::flat_hash_map<uint16_t, uint16_t> ids_;       // packet id -> slot
  absl::flat_hash_map<uint16_t, std::string> texts_;  // slot -> reason string
  std::vector<uint16_t> order_;                       // a ring
  size_t order_begin_ = 0, order_size_ = 0;
  int unfinished_ = 0;
  uint64_t made_ = 0;
  size_t taken_ = 0;                                  // slots in that state
};

}  // namespace sluice::transport
