// A device on MQTT: a lean client on the process's one loop (native topics and receipts as in ARCHITECTURE.md).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "base/backoff.h"
#include "devices/sim/link.h"
#include "devices/sim/mqtt_packet.h"
#include "devices/sim/poller.h"
#include "devices/sim/socket.h"

namespace sluice::sim {

// The MQTT server that the devices talk to: a broker before the gateway, or the gateway's own listener.
struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 1883;
  bool listener = false;                 // the gateway's own: a PUBACK is its acknowledgement
  MqttVersion version = MqttVersion::k5;
  bool tls = false;
  std::string ca;                        // file; needed with tls
  std::string certificate, key;          // client certificate; "{device}" stands for the device's name
  std::string credentials;               // a folder with a file per device that holds its password …
  std::map<std::string, std::string> passwords;  // … or by device; the user name is the device's name
  std::string username, password;        // the same for all, instead
  uint16_t keepalive_s = 30;
  bool receipts = true;                  // subscribe to the device's ack topic
  bool resume = false;                   // come back to the session (clean start 0): what has no PUBACK goes again with DUP
  bool dup_always = false;               // … also where the server has lost the session, as common clients do
};

// TLS contexts by their files. Not thread-safe.
class TlsContexts {
 public:
  absl::StatusOr<std::shared_ptr<TlsContext>> For(const std::string& ca, const std::string& certificate,
                                                  const std::string& key);

 private:
  std::map<std::string, std::shared_ptr<TlsContext>> contexts_;
};

// An event stays in flight until its PUBACK; within a connection it is never sent twice. Without `resume` a new connection
// begins a new session and knows nothing of what the last one had in flight.
class MqttLink final : public Link {
 public:
  MqttLink(std::string device, const ServerOptions& options, TlsContexts& contexts, Poller& poller, LinkListener& listener,
           Random& random);
  ~MqttLink() override;

  bool CanSend() const override;
  bool Send(const OpenEvent& event) override;
  void EndBurst() override;
  void OnReady(bool readable, bool writable) override;
  void Tick(int64_t now_us) override;
  // So that the server publishes the will: the cloud learns that the device is off.
  void Close() override;

 private:
  struct InFlight {
    uint16_t id;
    uint64_t boot;
    uint64_t seq;
  };

  absl::Status Connect();
  void AppendConnectPacket();
  absl::Status Work(bool readable, bool writable);
  absl::Status Read();
  absl::Status Take(const ServerPacket& packet);
  absl::Status TakeConnack(const ServerPacket& packet);
  void TakePuback(const ServerPacket& packet);
  absl::Status Flush();
  absl::Status KeepAlive(int64_t now_us);
  bool NextId(uint16_t& id);
  void Drop(std::string_view reason);
  void Watch();
  void Up();
  bool IsInFlight(uint64_t boot, uint64_t seq) const;

  const std::string device_;
  const std::string topic_prefix_;
  const ServerOptions& options_;
  TlsContexts& contexts_;
  Poller& poller_;
  LinkListener& listener_;
  Backoff backoff_;

  std::unique_ptr<Socket> socket_;
  int watched_fd_ = -1;
  bool watching_write_ = false;
  bool open_ = false;               // CONNECT has gone out
  bool up_ = false;
  size_t receive_maximum_ = 65535;  // of the server: more than this unacknowledged is a protocol error
  std::string user_, password_;
  std::string in_, out_;
  size_t out_done_ = 0;             // of out_: what the socket has taken
  uint16_t next_id_ = 1;
  std::deque<InFlight> in_flight_;  // in the order of sending, over both the same ids never
  std::deque<InFlight> carried_;    // of the connection before, to be sent again under their ids
  std::string topic_;
  int64_t connect_at_us_ = 0;
  int64_t now_us_ = 0;              // of the last Tick
  int64_t connecting_since_us_ = 0;
  int64_t keepalive_us_ = 0;
  int64_t sent_at_us_ = 0;
  int64_t heard_at_us_ = 0;
  int64_t ping_at_us_ = 0;          // 0: none is under way
};

}  // namespace sluice::sim
