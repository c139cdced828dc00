// The sessions of all devices: attach and detach, routing within a device, retained messages, wills, timers, limits. The
// implementation of MqttSessions; connections (mqtt_server_connection.h) are its other half.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "devices/transport/mqtt_rate.h"
#include "devices/transport/mqtt_server_session.h"
#include "devices/transport/mqtt_session.h"

namespace sluice::transport {

// Decoded into again and again, so that a packet costs no memory of its own, and a silent connection none at all.
struct MqttScratch {
  MqttPublish publish;    // of the client that is worked on
  MqttPublish outgoing;   // to any client: also while another one's publish is spread
  MqttAck ack;
  MqttInbound::Ack due;
};

class MqttServer final : public MqttSessions {
 public:
  MqttServer(MqttSessionOptions options, MqttHost& host, Random& random);
  ~MqttServer() override;

  // MqttSessions.
  std::unique_ptr<MqttConnection> Open(uint64_t id, int64_t now_ms) override;
  void Safe(uint64_t token, int64_t now_ms) override;
  void Refused(uint64_t token, MqttReason reason, std::string_view text, int64_t now_ms) override;
  void Lost(uint64_t token, int64_t now_ms) override;
  void Resume(int64_t now_ms) override;
  MqttDelivered Deliver(std::string_view device, const MqttOutgoing& message, int64_t now_ms) override;
  void Forget(absl::FunctionRef<bool(const MqttIdentity&)> whom, MqttReason reason, std::string_view text,
              int64_t now_ms) override;
  void Tick(int64_t now_ms) override;
  int64_t next_tick_ms() const override { return timers_.empty() ? kMqttNever : timers_.begin()->when_ms; }
  void Shutdown(int64_t now_ms) override;
  MqttSessionFigures figures() const override;
  std::vector<MqttConnectionStatus> connections() const override;

  // For the connections.
  const MqttSessionOptions& options() const { return options_; }
  MqttHost& host() { return host_; }
  MqttScratch& scratch() { return scratch_; }
  MqttSessionFigures& count() { return figures_; }
  bool shut_down() const { return shut_down_; }
  // Of all connections together.
  MqttRate& rate() { return rate_; }
  size_t max_slots() const;

  enum class Attached { kNew, kResumed, kTooMany };
  // Gives the connection its session: takes over, ends or resumes what there is (3.1.4).
  Attached Attach(MqttServerConnection& connection, std::shared_ptr<const MqttIdentity> identity, std::string_view client_id,
                  bool clean, MqttServerSession** session, int64_t now_ms);
  // The connection is over. The will is published, now or after its delay, or deleted.
  void Detach(MqttServerSession& session, bool publish_will, int64_t now_ms);
  void Gone(MqttServerConnection& connection);
  std::string NewClientId();

  static uint64_t TokenOf(const MqttServerSession& session, uint16_t slot) {
    return uint64_t{session.generation} << 40 | uint64_t{session.slot} << 16 | slot;
  }

  // A message that is taken: kept if it is to be retained, and delivered to the device's sessions. `publisher`: the client id of
  // who published it, also as its will; empty: the host. `kept` is the same message, where it is there already.
  MqttDelivered Spread(MqttServerDevice& device, const MqttPublish& publish, std::shared_ptr<const MqttKept> kept,
                       std::string_view publisher, uint64_t tag, int64_t now_ms);
  enum class Queued { kSent, kWaiting, kDropped };
  // Into the session's queue, and out of it as far as the client takes it; at QoS 0 out at once or not at all.
  Queued Enqueue(MqttServerSession& session, MqttDelivery delivery, int64_t now_ms);
  std::vector<std::shared_ptr<const MqttKept>> RetainedOf(MqttServerDevice& device, std::string_view filter, int64_t now_ms);
  // A delivery leaves the session's queue.
  void Ended(const MqttServerSession& session, const MqttDelivery& delivery, MqttDeliveryEnd end, MqttReason reason);
  // Bytes of publishes that wait for room, of all connections.
  size_t waiting_bytes() const { return figures_.waiting_bytes; }

  void Arm(MqttServerConnection& connection, int64_t when_ms);

 private:
  struct Timer {
    int64_t when_ms;
    uint64_t connection;   // 0: the session of `token`
    uint64_t token;
    auto operator<=>(const Timer&) const = default;
  };
  struct WaitingWill {
    std::shared_ptr<const MqttIdentity> identity;
    std::string client_id;
    std::shared_ptr<const MqttKept> will;
  };

  MqttServerSession* FindSession(uint64_t token) const;
  MqttServerDevice& DeviceOf(const std::string& name);
  void ForgetIfEmpty(MqttServerDevice& device);
  MqttServerSession* NewSession(MqttServerDevice& device, std::string_view client_id);
  void Report(const MqttServerSession& session, const MqttDelivery& delivery, MqttDeliveryEnd end, MqttReason reason);
  // The session, which is not connected, is over: its will, if it has one, is published.
  void End(MqttServerSession& session, int64_t now_ms);
  // Ends the session that is longest without a connection. False: all have one.
  bool EvictOne(const std::string& device, int64_t now_ms);
  // The same of the device that has most without a connection. False: every session has one.
  bool EvictOfTheGreediest(int64_t now_ms);
  // Ends the connection that came first; its session may stay. False: there is none.
  bool DropOldest(const std::string& device, int64_t now_ms);
  void PublishWill(MqttServerSession& session, int64_t now_ms);
  // False: no room.
  bool OfferWill(const WaitingWill& waiting, int64_t now_ms);
  void Retain(MqttServerDevice& device, const std::shared_ptr<const MqttKept>& message);
  void ArmSession(MqttServerSession& session);
  void OnSessionTimer(MqttServerSession& session, int64_t now_ms);

  const MqttSessionOptions options_;
  MqttHost& host_;
  Random& random_;
  MqttSessionFigures figures_;
  MqttScratch scratch_;
  MqttRate rate_{options_.total_publishes_per_second, options_.total_publishes_per_second};
  bool shut_down_ = false;
  uint64_t attached_ = 0;   // counts up

  std::vector<std::unique_ptr<MqttServerSession>> sessions_;   // by slot
  std::vector<uint32_t> generations_, free_slots_;
  absl::flat_hash_map<std::string, std::unique_ptr<MqttServerDevice>> devices_;
  absl::flat_hash_map<uint64_t, MqttServerConnection*> connections_;
  std::deque<WaitingWill> waiting_wills_;
  uint64_t served_last_ = 0;   // by Resume: the connection's id
  std::set<Timer> timers_;   // one at most for each connection and session
};

}  // namespace sluice::transport
