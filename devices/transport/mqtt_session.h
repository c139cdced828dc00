// The server's side of MQTT 3.1.1 and 5.0 for devices: a state machine over bytes and handed-in time. It owns no socket,
// thread or clock. PUBACK and PUBREC leave only when the host has called the publish safe. Not a general broker: a device
// speaks with us and, under its own topics, with itself; nothing goes from one device to another.
//
//   bytes → MqttConnection::Received → MqttHost::Publish(token, …) … MqttSessions::Safe(token) → PUBACK in the output
//
// Everything here is for one thread. The host's methods are called from within calls into this module and must not call back
// into it (post to the loop); views handed to them are valid during the call. now_ms is a monotonic clock's, in milliseconds, and
// never goes back. Limits in bytes of what is kept count its memory. Statements of the standards: MQTT_CONFORMANCE.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/random.h"
#include "devices/transport/mqtt_properties.h"
#include "devices/transport/mqtt_reason.h"

namespace sluice::transport {

// Who a connection is, as the host found out. Shared by all that the device opens.
struct MqttIdentity {
  std::string device;                   // sessions are named by (device, client id): devices cannot take each other's over
  std::vector<std::string> publish;     // topic filters: a publish (or will) to another topic is refused as not authorised
  std::vector<std::string> subscribe;   // topic filters: a subscription must lie wholly within one of them
  std::string response_information;     // 5.0: told to a client that asks for it; empty: nothing to tell
  uint64_t credential = 0;              // the host's: what it was let in by
};

struct MqttCredentials {
  MqttLevel level = MqttLevel::k5;
  std::string_view client_id;           // may be empty: then one is assigned (5.0, and 3.1.1 with a clean session)
  bool has_user_name = false, has_password = false;
  std::string_view user_name, password;
};

// One message of a device, or its will.
struct MqttPublication {
  const MqttIdentity& identity;
  std::string_view client_id;
  uint64_t connection = 0;              // as given to Open; 0: a will
  std::string_view topic, payload;      // the topic is the whole one, also where an alias stood for it
  uint8_t qos = 0;
  bool dup = false, retain = false, will = false;
  const MqttProperties& properties;     // empty at 3.1.1; a message expiry interval is what is left of it, 0: it is over
  size_t missing = 0;                   // bytes of the payload that are not here: of one that is larger than is taken
};

// What the host does with a publication at once.
struct MqttVerdict {
  enum class Kind {
    kTaken,     // Safe, Refused or Lost comes later, with the token, exactly once
    kSafe,      // already: nothing comes
    kNoRoom,    // not taken; QoS 1 and 2 are kept, in the connection's order, and offered again after Resume; QoS 0 is dropped
    kRefused,   // for good: nothing comes; the client is told `reason` (5.0) or merely acknowledged (3.1.1)
  };
  Kind kind = Kind::kTaken;
  MqttReason reason = MqttReason::kImplementationSpecificError;
  std::string text;                     // reason string for the client; may be empty
};

// What becomes of a message that was given to Deliver with a tag, in one session.
enum class MqttDeliveryEnd {
  kAcknowledged,   // PUBACK came; at QoS 0: it was written to the connection
  kRefused,        // PUBACK with a failure (5.0)
  kExpired,        // the message's time was over before it was sent
  kTooLarge,       // for the client's maximum packet size
  kDropped,        // the session's queue was full, or the session ended
};

class MqttConnection;

class MqttHost {
 public:
  virtual ~MqttHost() = default;
  // CONNECT came and is well-formed. To be answered by Authenticated or AuthenticationRefused, later, unless the connection is
  // closed meanwhile. What the client sends until then is kept.
  virtual void Authenticate(MqttConnection& connection, const MqttCredentials& credentials) = 0;
  // A publication whose topic the identity allows. The token is 0 at QoS 0 and for wills: then kTaken needs no answer. A will
  // that has no room is offered again after Resume too.
  virtual MqttVerdict Publish(uint64_t token, const MqttPublication& publication) = 0;
  // A publication that was refused without being handed up: a topic that is not the identity's (kNotAuthorized), too many
  // levels (kTopicNameInvalid), a payload that is not the UTF-8 it claims to be (kPayloadFormatInvalid).
  virtual void NotTaken(const MqttPublication& publication, MqttReason reason, std::string_view why) = 0;
  // There is no room for critical events now; told to v5 clients in CONNACK.
  virtual bool StoreFull() const = 0;
  // Publish has taken so long that others should be served first: until Resume no more is handed up. What comes meanwhile stays in
  // the connections' input, which are not read.
  virtual bool TurnIsOver() const { return false; }
  // Messages with a tag only. `reason` is the client's at kRefused.
  virtual void DeliveryEnded(uint64_t tag, const MqttIdentity& identity, std::string_view client_id, MqttDeliveryEnd end,
                             MqttReason reason) = 0;
  // Look at the connection, after the current call: there is output to take where there was none, reading() changed, or
  // closing() became true. May come several times during one call, for any connection.
  virtual void Wake(MqttConnection& connection) = 0;
};

struct MqttSessionOptions {
  // Per connection.
  int64_t connect_timeout_ms = 10'000;        // from Open to a whole CONNECT
  int64_t authenticate_timeout_ms = 30'000;   // from CONNECT to the host's answer: server unavailable
  uint32_t max_packet_bytes = 256u << 10;     // in; announced (5.0). Larger ones close with 0x95
  uint32_t max_connect_bytes = 16u << 10;     // CONNECT, its will included: of who is not known yet
  uint16_t receive_maximum = 256;             // QoS 1 and 2 publishes in flight; announced (5.0); at 3.1.1 reading pauses
  size_t max_waiting_bytes = 1u << 20;        // publishes kept for want of room; beyond, reading pauses
  size_t max_output_bytes = 256u << 10;       // not yet taken; beyond, packets are neither answered nor delivered
  uint16_t topic_alias_maximum = 32;          // in; announced
  double publishes_per_second = 0;            // token bucket; 0: no limit. An empty bucket pauses reading
  double publish_burst = 1000;
  uint16_t max_keep_alive_s = 600;            // 5.0: announced as server keep alive where the client asks for more or none
  size_t max_client_id_bytes = 128;
  size_t max_filter_bytes = 512, max_topic_bytes = 512;
  size_t max_topic_levels = 16;
  // A v5 client whose publish has waited so long for room is told so and disconnected (0x97), once: one that read "store full"
  // in its CONNACK is not. 0: never. See MQTT_CONFORMANCE.md, "A full store".
  int64_t patience_ms = 60'000;
  std::string store_full_notice = "store full: acknowledgements are delayed until events were delivered";

  // Per session.
  uint32_t max_session_expiry_s = 7 * 24 * 3600;      // 5.0: asked for more, told this
  uint32_t v311_session_expiry_s = 7 * 24 * 3600;     // of a session that is not clean
  size_t max_subscriptions = 32;
  size_t max_queued_messages = 1000;                  // deliveries at QoS 1 waiting or in flight; beyond, the newest is dropped
  size_t max_queued_bytes = 1u << 20;

  // Per device.
  // Beyond, the one that is longest without a connection goes; where all have one, the connection that came first (0x97).
  size_t max_sessions_per_device = 8;
  size_t max_retained_messages = 64;                  // beyond, the oldest goes
  size_t max_retained_bytes = 256u << 10;

  // Together.
  double total_publishes_per_second = 0;              // token bucket, its burst a second's worth; 0: no limit
  size_t max_connections = 10'000;                    // told 0x97 (3.1.1: 3) at CONNECT
  size_t max_sessions = 20'000;
  size_t max_total_retained_bytes = 16u << 20;
  size_t max_total_queued_bytes = 32u << 20;          // deliveries of all sessions
  size_t max_total_waiting_bytes = 32u << 20;         // publishes kept for want of room; beyond, who sends one is not read
  size_t max_waiting_wills = 1000;                    // for want of room; beyond, the newest is dropped
};

// Counters since the start, but for the first group: now.
struct MqttSessionFigures {
  uint64_t connections = 0, sessions = 0, subscriptions = 0;
  uint64_t inflight = 0;                  // publishes taken, not yet safe
  uint64_t waiting = 0, waiting_bytes = 0;      // publishes kept for want of room
  uint64_t queued = 0, queued_bytes = 0;        // deliveries waiting or in flight
  uint64_t retained = 0, retained_bytes = 0;

  uint64_t connects = 0, resumed = 0, taken_over = 0, connects_refused = 0;
  uint64_t publishes[3] = {0, 0, 0};      // handed up, by QoS
  uint64_t acknowledged = 0;              // PUBACKs and PUBRECs of safe publishes
  uint64_t merged = 0;                    // sent again before they were acknowledged: not handed up twice
  uint64_t packet_ids_reused = 0;         // a new publish under a packet id that is in use: handed up
  uint64_t no_room = 0;                   // publishes that had to wait for room
  uint64_t qos0_dropped = 0;              // for want of room
  uint64_t publishes_refused = 0;         // by the host, or without asking it: see the next three
  uint64_t not_authorized = 0, topic_invalid = 0, payload_format_invalid = 0;
  uint64_t subscriptions_refused = 0;
  uint64_t wills = 0, wills_dropped = 0;
  uint64_t delivered = 0, deliveries_acknowledged = 0, deliveries_refused = 0;
  uint64_t deliveries_expired = 0, deliveries_too_large = 0, deliveries_dropped = 0;
  uint64_t retained_evicted = 0, sessions_expired = 0, sessions_evicted = 0;
  uint64_t connections_evicted = 0;       // for a newer one of the same device
  uint64_t rate_pauses = 0, window_pauses = 0, waiting_pauses = 0, output_pauses = 0, turn_pauses = 0;   // reading stopped

  // Connections that we ended, by cause.
  uint64_t malformed = 0, protocol_errors = 0, unsupported_version = 0, packet_too_large = 0, receive_maximum_exceeded = 0;
  uint64_t topic_alias_invalid = 0, keep_alive_timeouts = 0, connect_timeouts = 0, authentication_refused = 0;
  uint64_t authentication_timeouts = 0, client_id_invalid = 0, quota_exceeded = 0, impatient = 0;
  uint64_t unknown_packet_ids = 0;        // PUBACK, PUBREC, PUBREL, PUBCOMP that belong to nothing: answered, not closed
};

struct MqttConnectionStatus {
  uint64_t connection = 0;
  enum class State { kConnecting, kAuthenticating, kConnected, kClosed } state = State::kConnecting;
  MqttLevel level = MqttLevel::kUnknown;
  std::string device, client_id;
  size_t inflight = 0, waiting = 0, queued = 0, subscriptions = 0;
  std::string closed_why;                 // at kClosed: in words, with the place in the packet
  MqttReason closed_reason = MqttReason::kSuccess;
};

// One network connection. Destroying it is as calling Closed.
class MqttConnection {
 public:
  virtual ~MqttConnection() = default;
  virtual uint64_t id() const = 0;

  // Bytes from the client, split anywhere. While reading() is false no more should be read from the socket; what is handed in
  // nevertheless is kept.
  virtual void Received(std::string_view bytes, int64_t now_ms) = 0;
  // Answers Authenticate, once.
  virtual void Authenticated(std::shared_ptr<const MqttIdentity> identity, int64_t now_ms) = 0;
  virtual void AuthenticationRefused(MqttReason reason, std::string_view text, int64_t now_ms) = 0;
  // Tells the client (5.0) and ends the connection; its session stays as after a loss. E.g. kAdministrativeAction.
  virtual void Disconnect(MqttReason reason, std::string_view text, int64_t now_ms) = 0;
  // The network connection is gone. Further calls do nothing.
  virtual void Closed(std::string_view why, int64_t now_ms) = 0;

  // Replaces *out by what is to be sent. To be called when the bytes taken before are written (so that a client which does not
  // read is noticed: see max_output_bytes). May let waiting packets be worked on.
  virtual void TakeOutput(std::string* out, int64_t now_ms) = 0;
  virtual bool has_output() const = 0;
  virtual bool reading() const = 0;   // read from the socket
  virtual bool closing() const = 0;   // write what is left, close the socket, destroy this
  virtual MqttConnectionStatus status() const = 0;
};

// A message for a device.
struct MqttOutgoing {
  std::string_view topic, payload;
  uint8_t qos = 1;                        // 0 or 1
  bool retain = false;                    // kept for later subscriptions of the device; an empty payload forgets what was
  uint32_t expiry_s = 0;                  // 0: none. Counted from now, also at 3.1.1
  uint64_t tag = 0;                       // not 0: DeliveryEnded tells what became of it in each session
  const MqttProperties* properties = nullptr;   // more for v5: content type, response topic, correlation data, user …
};

// What Deliver did, in sessions of the device.
struct MqttDelivered {
  size_t sent = 0;       // in the output or the window of a connected one
  size_t queued = 0;     // kept until it connects or has room
  size_t dropped = 0;    // matched, but no room (or QoS 0 and not connected)
};

// All sessions of the server, in memory only: after a restart none is present. Must outlive its connections.
class MqttSessions {
 public:
  virtual ~MqttSessions() = default;
  // A network connection was accepted. `id` is the host's name for it: not 0, not used twice at a time.
  virtual std::unique_ptr<MqttConnection> Open(uint64_t id, int64_t now_ms) = 0;

  // What became of a publish that was taken. Tokens of sessions that are gone are ignored. Acknowledgements are appended to
  // outputs in the order of the publishes: call for a whole group, then write.
  virtual void Safe(uint64_t token, int64_t now_ms) = 0;
  virtual void Refused(uint64_t token, MqttReason reason, std::string_view text, int64_t now_ms) = 0;
  // Taken, but it cannot become safe any more: never acknowledged, so that the client sends it again in another connection;
  // this one is ended (0x83). It is then handed up anew.
  virtual void Lost(uint64_t token, int64_t now_ms) = 0;
  // There may be room again, or another turn begins: what waits is offered, each connection's in order, the connections in turn.
  // Where the turn ends in between, the next call begins behind the connection that was served last.
  virtual void Resume(int64_t now_ms) = 0;

  // To the sessions of the device whose subscriptions match. What MQTT cannot carry (a topic with a wildcard, a property that
  // PUBLISH knows not) is dropped = 1, and nothing is done.
  virtual MqttDelivered Deliver(std::string_view device, const MqttOutgoing& message, int64_t now_ms) = 0;
  // Ends connections and sessions whose identity, the newest connection's, is to be forgotten, and the retained messages of
  // devices whose newest one is; also of those that are not connected. Their wills are not published.
  virtual void Forget(absl::FunctionRef<bool(const MqttIdentity&)> whom, MqttReason reason, std::string_view text,
                      int64_t now_ms) = 0;

  // Timers. Wanted at next_tick_ms() (INT64_MAX: no need); may be called at any time.
  virtual void Tick(int64_t now_ms) = 0;
  virtual int64_t next_tick_ms() const = 0;
  // Ends all connections with 0x8B. No will is published: the server goes, not the devices (5.0, 3.1.2.5).
  virtual void Shutdown(int64_t now_ms) = 0;

  virtual MqttSessionFigures figures() const = 0;
  virtual std::vector<MqttConnectionStatus> connections() const = 0;
};

// `host` and `random` (assigned client ids) must outlive it. Options out of range are brought into it
// (receive_maximum 0 → 1, max_packet_bytes and max_output_bytes below 1 KiB → 1 KiB, max_client_id_bytes below 23 → 23,
// max_connect_bytes to 256 B … max_packet_bytes).
std::unique_ptr<MqttSessions> MakeMqttSessions(MqttSessionOptions options, MqttHost& host, Random& random);

}  // namespace sluice::transport
