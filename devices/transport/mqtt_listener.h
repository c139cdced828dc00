// Our own MQTT server on a port: sockets, TLS, who may come in, and one thread that serves all connections. What is said on the
// connections is mqtt_session.h's; what becomes of a publish is the handler's.
//
//   socket → byte_stream → mqtt_session → handler.Publish(token) … answers()->Safe(token) → PUBACK
//
// PUBACK leaves only after Safe. Answers come from any thread; however many come at once, the loop is woken once and writes
// them to each connection together. A client that does not read is closed and holds up nobody.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/random.h"
#include "devices/transport/connection_gate.h"
#include "devices/transport/device_certificate.h"
#include "devices/transport/failure_backoff.h"
#include "devices/transport/mqtt_answers.h"
#include "devices/transport/mqtt_session.h"
#include "devices/transport/tls_server.h"
#include "devices/transport/verify_queue.h"

namespace sluice::transport {

struct MqttListenerOptions {
  std::string bind;                 // "192.168.1.2:8883", "[::]:8883"; port 0: any free one
  TlsServerOptions tls;             // without a certificate_file: plain TCP, on loopback addresses only
  DeviceNameRule certificate_name;  // of client certificates, where tls.client_ca_file is given
  std::string password_file;        // base/password_file.h; empty: no passwords. One of the two has to be given
  // Topics of a device beside sluice/v1/{device}/#; {device} stands for one whole level. It may publish and subscribe there.
  std::vector<std::string> topics;

  ConnectionLimits connections;
  FailureBackoff::Options failures;          // wrong passwords, by address and user name
  VerifyQueue::Options verifications;        // wrong passwords, by address
  int64_t handshake_timeout_ms = 10'000;     // TLS; the CONNECT's own is sessions.connect_timeout_ms
  int64_t write_timeout_ms = 30'000;         // a client that reads nothing for so long is closed
  int64_t look_every_ms = 1000;              // whether files changed
  MqttSessionOptions sessions;
};

// Pure. What can never work: InvalidArgument says what and what is allowed.
absl::Status CheckMqttListenerOptions(const MqttListenerOptions& options);
// One of MqttListenerOptions::topics. InvalidArgument likewise.
absl::Status CheckDeviceTopics(std::string_view pattern);
// What a device may publish and subscribe to. `credential`: the line of the password file that let it in; 0: a certificate.
std::shared_ptr<const MqttIdentity> IdentityOfDevice(const std::string& device, const std::vector<std::string>& topics,
                                                     uint64_t credential);

// Called on the listener's thread. Must not block: not on the disk, not on the cloud, not on another client.
class MqttListenerHandler {
 public:
  virtual ~MqttListenerHandler() = default;
  // As MqttHost::Publish. After kTaken with a token, answers() has to get it, once: also before this returns.
  virtual MqttVerdict Publish(uint64_t token, const MqttPublication& publication) = 0;
  virtual void NotTaken(const MqttPublication& publication, MqttReason reason, std::string_view why) = 0;
  // As MqttHost::StoreFull.
  virtual bool StoreFull() const = 0;
};

// Why connections were closed or not let in; since the start.
struct MqttRefusals {
  uint64_t too_many = 0, too_many_from_address = 0, half_open_from_address = 0;
  uint64_t too_fast_from_address = 0;
  uint64_t half_open_evicted = 0;         // to make room for others
  uint64_t no_descriptors = 0;            // the process may open no more files
  uint64_t handshake_failed = 0, handshake_timeout = 0;
  uint64_t certificate_name = 0;          // a good chain that names no device
  uint64_t no_credentials = 0, wrong_password = 0, back_off = 0;
  uint64_t slow_reader = 0;
};

struct MqttListenerStatus {
  enum class State { kListening, kWaiting, kClosed } state = State::kClosed;
  std::string detail;             // the address, or why it cannot be had
  std::string trouble;            // files that cannot be read and the like, in words; empty: none
  size_t open = 0, half_open = 0;
  MqttRefusals refusals;
  std::string last_refused;       // from where, and why; empty: nobody
  uint64_t accepted = 0;
  uint64_t scrypts = 0, remembered = 0;   // passwords verified the long and the short way
  MqttSessionFigures sessions;
  std::vector<MqttConnectionStatus> connections;   // only where asked for
};

// Thread-safe, except that Start and Stop are for one thread, each once.
class MqttListener {
 public:
  virtual ~MqttListener() = default;   // as Stop
  // InvalidArgument for options that can never work. Otherwise it listens, or tries again for ever: status() says why.
  virtual absl::Status Start() = 0;
  // Sends what is due, tells the clients, closes within about a second. No handler is called afterwards.
  virtual void Stop() = 0;

  // Where the handler's answers go. Outlives the listener; useless afterwards.
  virtual std::shared_ptr<MqttAnswers> answers() const = 0;
  // To the sessions of a device that subscribed to the topic, at QoS 1 where they asked for it. Soon, on the listener's thread.
  virtual void Deliver(std::string device, std::string topic, std::string payload) = 0;

  virtual MqttListenerStatus status(bool with_connections = false) const = 0;
  virtual uint16_t port() const = 0;   // 0 while it does not listen
};
// `handler`, `clock` and `random` must outlive it.
std::unique_ptr<MqttListener> MakeMqttListener(MqttListenerOptions options, MqttListenerHandler& handler, const Clock& clock,
                                               Random& random);

}  // namespace sluice::transport
