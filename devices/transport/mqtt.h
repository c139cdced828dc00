// One persistent MQTT session, kept alive for ever.
//
// Acknowledgement (Paho C 1.3.12, MQTT 5 and 3.1.1): at QoS 1 the PUBACK of a message leaves only after the handler
// returned, so whoever has written the message before returning loses none to kill -9. There is no negative
// acknowledgement, and as Paho holds its lock from the handler's call until the PUBACK is out, it cannot disconnect in
// between either. So when a handler answers kNotTaken the socket is shut down under Paho's feet: the PUBACK fails, the
// connection counts as lost, and the broker delivers the message again in the next connection of the session.
// All sessions of a process share Paho's one receive thread and that lock: a handler that blocks holds up the others too.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/backoff.h"

namespace sluice::transport {

enum class MqttVersion {
  kAuto,   // 5, and 3.1.1 in turn with it while the broker refuses or does not understand 5
  k5,
  k311,
};

struct MqttOptions {
  std::string url;                 // mqtt://host[:1883] (loopback only unless allow_plaintext), mqtts://host[:8883]
  bool allow_plaintext = false;
  MqttVersion version = MqttVersion::kAuto;
  std::string client_id;           // names the session at the broker: never two at once
  std::string username;
  std::string password_file;       // read at every connection; line breaks at its end are not part of it
  std::string ca_file;             // PEM; the system's trust store if empty
  std::string certificate_file;    // client certificate and its key, PEM
  std::string key_file;
  uint32_t session_expiry_s = 7 * 24 * 3600;   // MQTT 5: how long the broker keeps messages for us; 0: not at all
  uint16_t receive_maximum = 1000;             // MQTT 5: messages that may be unacknowledged at once
  int keep_alive_s = 30;
  int connect_timeout_s = 10;
  Backoff::Options backoff = {.base_ms = 1000, .factor = 2.0, .cap_ms = 30'000};
  std::vector<std::string> filters;            // subscribed at QoS 1; MQTT 5: no-local
};

struct MqttMessage {
  std::string_view topic;      // valid during the call
  std::string_view payload;
  bool retained = false;       // from the broker's memory
  int qos = 0;
  bool duplicate = false;      // the broker sent it before
};
enum class MqttTaken { kTaken, kNotTaken };

struct MqttHandlers {
  // On Paho's receive thread. Must not throw. kNotTaken: nothing more of this connection comes, everything from this
  // message on comes again in the next one.
  std::function<MqttTaken(const MqttMessage&)> on_message;
  // Connected and subscribed, each time anew. On the client's own thread.
  std::function<void()> on_connected;
  // A publish that was taken is acknowledged (QoS 1), sent (0) or given up. May publish.
  std::function<void()> on_published;
};

struct MqttStatus {
  enum class State { kConnecting, kConnected, kWaiting, kClosed };
  State state = State::kClosed;
  std::string detail;            // since when or why not, in words
  int version = 0;               // 5 or 4 (3.1.1) of the connection
  bool session_present = false;  // the broker had kept the session when we connected last
  uint64_t connections = 0;      // since Start
};
std::string_view MqttStateName(MqttStatus::State state);

// Thread-safe, except that Start and Stop are for one thread, each once.
class MqttClient {
 public:
  virtual ~MqttClient() = default;
  // InvalidArgument for options that can never work; afterwards it connects, and again after every loss, with backoff.
  virtual absl::Status Start() = 0;
  // Closes the connection. Waits for a handler that is running. No handler is called after it returned.
  virtual void Stop() = 0;
  // Hands the message over and waits for nothing. Unavailable without a connection, ResourceExhausted while 4096 wait.
  virtual absl::Status Publish(std::string_view topic, std::string_view payload, int qos, bool retain) = 0;
  virtual MqttStatus status() const = 0;
};
std::unique_ptr<MqttClient> MakeMqttClient(MqttOptions options, MqttHandlers handlers);

// Pure: what of the options can never work.
absl::Status CheckMqttOptions(const MqttOptions& options);

// mqtt:// and mqtts:// (also tcp, ssl, tls): scheme, host, port. InvalidArgument says what is allowed. Pure.
struct MqttAddress {
  bool tls = false;
  std::string host;   // IPv6 without brackets
  uint16_t port = 0;
};
absl::StatusOr<MqttAddress> ParseMqttUrl(std::string_view url);
bool IsLoopbackHost(std::string_view host);

}  // namespace sluice::transport
