// A device on MQTT 5: one libmosquitto client (native topics and receipts as in ARCHITECTURE.md).
#pragma once

#include <deque>
#include <string>

#include "base/backoff.h"
#include "devices/sim/link.h"
#include "devices/sim/poller.h"

struct mosquitto;
struct mosquitto_message;
struct mqtt5__property;

namespace sluice::sim {

struct BrokerOptions {
  std::string host = "127.0.0.1";
  int port = 1883;
  bool tls = false;
  std::string ca;                        // file; needed with tls
  std::string certificate, key;          // client certificate; "{device}" stands for the device's name
  std::string users_dir;                 // a file per device with its password; the user name is the device's name
  std::string username, password;        // the same for all, instead of users_dir
  int keepalive_s = 30;
  bool receipts = true;                  // subscribe to the device's ack topic
};

// Call mosquitto_lib_init before the first. A lost connection is not resumed but replaced by a new client with a clean
// session: libmosquitto would otherwise send its own unacknowledged messages before the lower ones that still lack a receipt.
class MqttLink final : public Link {
 public:
  MqttLink(std::string device, const BrokerOptions& options, Poller& poller, LinkListener& listener, Random& random);
  ~MqttLink() override;

  bool CanSend() const override;
  bool Send(const OpenEvent& event) override;
  void BeginBurst() override { Cork(true); }
  void EndBurst() override;
  void OnReady(bool readable, bool writable) override;
  void Tick(int64_t now_us) override;
  // With MQTT 5's "disconnect with will message": the cloud learns that the device is off.
  void Close() override;

 private:
  struct InFlight {
    int mid;
    uint64_t boot;
    uint64_t seq;
  };

  static void OnConnect(mosquitto*, void* self, int code, int flags, const mqtt5__property* properties);
  static void OnSubscribe(mosquitto*, void* self, int mid, int count, const int* granted, const mqtt5__property*);
  static void OnPublish(mosquitto*, void* self, int mid, int code, const mqtt5__property*);
  static void OnMessage(mosquitto*, void* self, const mosquitto_message* message, const mqtt5__property*);

  absl::Status Connect();
  absl::Status Secure();
  void Drop(std::string_view reason);
  void Check(int code);
  void Watch();
  void Cork(bool on);
  void Up();
  bool IsInFlight(uint64_t boot, uint64_t seq) const;

  const std::string device_;
  const std::string topic_prefix_;
  const BrokerOptions& options_;
  Poller& poller_;
  LinkListener& listener_;
  Backoff backoff_;

  mosquitto* client_ = nullptr;
  int fd_ = -1;
  bool watching_write_ = false;
  bool up_ = false;
  std::string failure_;             // set by a callback: the client is dropped after it returns
  size_t receive_maximum_ = 65535;  // of the broker: more than this unacknowledged is a protocol error
  std::deque<InFlight> in_flight_;
  std::string topic_;
  int64_t connect_at_us_ = 0;
  int64_t misc_at_us_ = 0;
};

}  // namespace sluice::sim
