// One network connection of the server: frames in, packets out, and what a client may do when. The other half of mqtt_server.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/transport/mqtt_fifo.h"
#include "devices/transport/mqtt_packet.h"
#include "devices/transport/mqtt_rate.h"
#include "devices/transport/mqtt_server.h"

namespace sluice::transport {

class MqttServerConnection final : public MqttConnection {
 public:
  MqttServerConnection(MqttServer& server, uint64_t id, int64_t now_ms);
  ~MqttServerConnection() override;

  // MqttConnection.
  uint64_t id() const override { return id_; }
  void Received(std::string_view bytes, int64_t now_ms) override;
  void Authenticated(std::shared_ptr<const MqttIdentity> identity, int64_t now_ms) override;
  void AuthenticationRefused(MqttReason reason, std::string_view text, int64_t now_ms) override;
  void Disconnect(MqttReason reason, std::string_view text, int64_t now_ms) override;
  void Closed(std::string_view why, int64_t now_ms) override;
  void TakeOutput(std::string* out, int64_t now_ms) override;
  bool has_output() const override { return !output_.empty(); }
  bool reading() const override { return state_ != State::kClosed && reading_; }
  bool closing() const override { return state_ == State::kClosed; }
  MqttConnectionStatus status() const override;

  // For the server.
  MqttServerSession* session() { return session_; }
  int64_t timer_ms() const { return timer_ms_; }
  void set_timer_ms(int64_t when_ms) { timer_ms_ = when_ms; }
  void OnTimer(int64_t now_ms);
  // Tells the client, as far as the protocol allows it, and ends the connection.
  void Drop(MqttReason reason, std::string_view why, int64_t now_ms, bool publish_will = true);
  // Something in the session's window may be due; reading may go on.
  void WindowMoved(int64_t now_ms);
  // Sends deliveries while the client's window and the output have room.
  void SendDeliveries(int64_t now_ms);
  enum class SentNow { kSent, kNoRoom, kTooLarge };
  SentNow SendNow(const MqttDelivery& delivery, int64_t now_ms);   // at QoS 0
  bool waits() const { return !waiting_.empty(); }
  // Offers the first publish that waits. False: none, or no room for it.
  bool OfferWaiting(int64_t now_ms);
  bool waits_for_turn() const { return pause_ == Pause::kTurn; }
  // There may be room, or time, for what stands in the input.
  void Resume(int64_t now_ms) {
    if (pause_ == Pause::kWaiting || pause_ == Pause::kTurn) Work({}, now_ms);
  }

 private:
  using State = MqttConnectionStatus::State;
  enum class Pause { kNone, kAuthentication, kRate, kWindow, kWaiting, kOutput, kTurn };
  struct Waiting {
    uint16_t slot;
    bool dup;
    int64_t since_ms;
    std::shared_ptr<const MqttKept> publish;
  };

  // mqtt_server_connection.cc: bytes, time, the connection's beginning and end.
  void Work(std::string_view fresh, int64_t now_ms);
  size_t WorkOn(std::string_view bytes, int64_t now_ms);
  Pause MayHandle(const MqttFrame& frame, int64_t now_ms);
  // False: there is no room to keep it; it stays in the input.
  bool Handle(const MqttFrame& frame, int64_t now_ms);
  void SetPause(Pause pause, int64_t now_ms);
  void Fault(const MqttFault& fault, int64_t now_ms);
  void End(MqttReason reason, std::string_view why, bool publish_will, int64_t now_ms);
  void Arm(int64_t now_ms);
  void Wake() {
    if (!destroyed_) server_.host().Wake(*this);
  }
  void NoteOutput(size_t before);
  // With fewer properties where the client's maximum packet size wants it. False: it does not fit even so.
  template <typename Packet>
  bool Send(Packet& packet);
  // When the connection's next publish may come, by its own rate and that of all: now_ms or later. It is promised to it.
  int64_t MayPublishMs(int64_t now_ms);
  void CountPublish() { publish_at_ms_.reset(); }
  void CountEnd(MqttReason reason);

  // mqtt_server_connect.cc: CONNECT and CONNACK.
  void OnConnect(const MqttFrame& frame, int64_t now_ms);
  bool CheckConnect(MqttReason* reason, std::string_view* why) const;
  void Refuse(MqttReason reason, std::string_view why, int64_t now_ms);
  bool SendConnack(bool session_present, bool assigned, uint32_t asked_expiry_s);
  void TakeWill(int64_t now_ms);

  // mqtt_server_packets.cc: the rest.
  bool OnPublish(const MqttFrame& frame, int64_t now_ms);
  size_t OnLargePublish(const MqttFrame& head, std::string_view bytes, const MqttFault& fault, int64_t now_ms);
  bool ResolveAlias(MqttPublish& publish, int64_t now_ms);
  bool CheckPublish(const MqttPublish& publish, MqttReason* reason, std::string_view* why) const;
  MqttPublication PublicationOf(const MqttPublish& publish, bool dup) const;
  // Offers to the host. False: no room.
  bool Offer(uint16_t slot, const MqttPublish& publish, bool dup, int64_t now_ms);
  void Keep(uint16_t slot, const MqttPublish& publish, int64_t now_ms);
  void OfferAtQos0(const MqttPublish& publish, int64_t now_ms);
  void RefusePublish(uint16_t slot, const MqttPublish& publish, MqttReason reason, std::string_view why);
  bool SendPublish(const MqttDelivery& delivery, uint16_t packet_id, bool dup, int64_t now_ms);
  void SendAcks();
  void OnAck(const MqttFrame& frame, int64_t now_ms);
  void Answer(MqttType type, uint16_t packet_id, MqttReason reason);
  void OnSubscribe(const MqttFrame& frame, int64_t now_ms);
  bool MaySubscribe(std::string_view filter) const;
  // What an earlier connection's identity allowed and this one's does not.
  void EndForbiddenSubscriptions();
  MqttReason Subscribe(const MqttSubscription& asked, uint32_t identifier);
  void SendRetained(const MqttSubscription& asked, uint32_t identifier, int64_t now_ms);
  void OnUnsubscribe(const MqttFrame& frame, int64_t now_ms);
  void OnDisconnect(const MqttFrame& frame, int64_t now_ms);

  MqttServer& server_;
  const uint64_t id_;
  State state_ = State::kConnecting;
  MqttLevel level_ = MqttLevel::kUnknown;
  MqttServerSession* session_ = nullptr;         // while kConnected
  std::shared_ptr<const MqttIdentity> identity_;
  std::string client_id_;

  std::string input_;                            // not yet worked on: a part of a packet, or what came while paused
  size_t input_at_ = 0;
  size_t skip_left_ = 0;                         // of a packet that is larger than is taken
  size_t input_need_ = 0;                        // input_ is worth looking at again when it is so long
  bool working_ = false;
  bool destroyed_ = false;                       // the host must not look at it any more
  std::string output_;
  Pause pause_ = Pause::kNone;
  bool reading_ = true;

  std::string connect_bytes_;                    // the CONNECT packet, until it is answered
  std::unique_ptr<MqttConnect> connect_;         // views into it; as long
  size_t client_max_packet_ = kMqttMaxPacket;
  uint16_t client_receive_maximum_ = 65'535;
  bool problem_information_ = true;
  bool may_expire_ = false;                      // CONNECT named a session expiry other than 0 (3.14.2.2.2)
  uint16_t keep_alive_s_ = 0;                    // in force; 0: none

  std::vector<std::string> aliases_;             // topics by alias - 1
  MqttFifo<Waiting> waiting_;                    // publishes that the host had no room for
  size_t waiting_bytes_ = 0;
  bool told_full_ = false;                       // in CONNACK
  MqttRate rate_;
  std::optional<int64_t> publish_at_ms_;         // what the rates have promised and was not used yet

  int64_t opened_ms_ = 0, heard_ms_ = 0;
  int64_t timer_ms_ = kMqttNever;
  std::string closed_why_;
  MqttReason closed_reason_ = MqttReason::kSuccess;

  // The server's: one connection is worked on at a time.
  MqttPublish& publish_;
  MqttPublish& outgoing_;
  MqttAck& ack_;
  MqttInbound::Ack& due_;
};

template <typename Packet>
bool MqttServerConnection::Send(Packet& packet) {
  const size_t before = output_.size();
  size_t size = EncodeMqtt(packet, level_, &output_);
  if (size > client_max_packet_) {
    output_.resize(before);
    packet.properties.Remove(MqttProperty::kReasonString);
    packet.properties.Remove(MqttProperty::kUserProperty);
    size = EncodeMqtt(packet, level_, &output_);
    if (size > client_max_packet_) {
      output_.resize(before);
      return false;
    }
  }
  NoteOutput(before);
  return size > 0;
}

}  // namespace sluice::transport
