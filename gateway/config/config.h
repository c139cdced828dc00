// The configuration of sluiced: one struct a section, with the defaults. packaging/config/sluiced.toml explains every key.
//
// Plain values: the composition root turns them into the parts' own options. No secret is ever in it, only files that hold one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::config {

struct Gateway {
  std::string state_dir = "/var/lib/sluice";   // journal, outbox, keys made here
  std::string hardware_id;                     // what tells this box from a copy of it; empty: the board's own
};

// PEM files; read again when they change.
struct Identity {
  std::string certificate = "/etc/sluice/identity/gateway.pem";
  std::string private_key = "/etc/sluice/identity/gateway.key";
  std::string trust = "/etc/sluice/identity/ca.pem";
};

// host:port of each service; a queue whose service is empty keeps its events.
struct Cloud {
  std::string shop, inventory, attendance;
  // The name that the services' certificates must carry where it is not the host above; empty: the host.
  std::string server_name;
};

// How streams come back (architecture, sync), milliseconds.
struct Sync {
  int64_t spread_ms = 60'000;          // the first try after a loss falls within this
  int64_t base_ms = 16'000;            // then full jitter from here …
  int64_t cap_ms = 300'000;            // … up to here
  int64_t lease_renew_ms = 100'000;
  int64_t keepalive_ms = 30'000;
  int64_t keepalive_timeout_ms = 10'000;
  int64_t batch_items = 512;           // at most, in one batch
  uint64_t batch_bytes = 256u << 10;
};

struct Journal {
  uint64_t segment_bytes = 8u << 20;
  int64_t min_segments = 3;
  int64_t max_segments = 8;
  uint64_t max_record_bytes = 256u << 10;
  int64_t sync_at_least_every_ms = 5000;
};

struct Outbox {
  uint64_t memory_bytes = 16u << 20;
  int64_t spill_after_ms = 2000;
  uint64_t quota_bytes = 1ull << 30;
  uint64_t reserved_bytes = 64ull << 20;
  uint64_t replay_window_bytes = 64ull << 20;
};

struct Intake {
  int64_t receipt_interval_ms = 50;
  uint64_t max_event_bytes = 64u << 10;
  int64_t max_devices = 10'000;
};

// [[mqtt]]: one connection to a broker.
struct Mqtt {
  std::string name;                 // the source is mqtt:<name>
  std::string url;                  // mqtt://host:port or mqtts://host:port
  std::string version = "auto";     // 5, 3.1.1, or 5 first and then 3.1.1
  std::string client_id;            // empty: sluice-<gateway>-<name>; must be unique at the broker
  std::string username;
  std::string password_file;        // the first line is the password
  std::string ca_file;              // who may sign the broker's certificate; empty: the system's
  std::string certificate_file, key_file;
  bool allow_plaintext = false;     // credentials over mqtt:// to another host than this one
  int64_t session_expiry_s = 604'800;
  int64_t receive_maximum = 1000;
  int64_t keep_alive_s = 30;
};

// [[listener]]: a port on which devices speak MQTT to the gateway itself.
struct Listener {
  std::string name;                 // the source is listener:<name>
  std::string bind;                 // address:port; without TLS a loopback address
  std::string certificate_file, key_file;   // of the server; both or none (plain TCP)
  // How devices show who they are; one or both.
  std::string client_ca_file;       // who may sign their certificates
  std::string password_file;        // sluicectl listener add-device
  // Where a certificate names its device: "uri" (the one URI subject alternative name) or "common-name".
  std::string device_name_in = "uri";
  std::string device_uri_prefix;    // what stands before the name in the URI; empty: spiffe://<trust-domain>/…/device/
  std::vector<std::string> topics;  // beside sluice/v1/{device}/#; {device} is one of the levels
  int64_t max_connections = 512;
  int64_t max_connections_per_address = 64;
  int64_t max_connections_per_device = 8;
  int64_t max_half_open = 64;       // not let in yet
  int64_t max_half_open_per_address = 16;
  int64_t max_connects_per_second = 100;   // of one address a quarter of it
  int64_t connect_timeout_s = 10;   // for the TLS handshake, and again for CONNECT
  int64_t write_timeout_s = 30;     // a client that reads nothing for so long is closed
  int64_t max_keep_alive_s = 600;   // MQTT 5: asked for more or none, told this
  int64_t session_expiry_s = 604'800;
  uint64_t max_packet_bytes = 128u << 10;
  int64_t receive_maximum = 256;    // publishes of a connection that are not acknowledged
  int64_t max_publishes_per_second = 0;   // of a connection; 0: no limit
  // Of all connections together.
  int64_t max_total_publishes_per_second = 0;   // 0: no limit
  uint64_t max_waiting_bytes = 8u << 20;    // publishes that wait for room in the journal
  uint64_t max_queued_bytes = 8u << 20;     // messages that wait for devices
  uint64_t max_retained_bytes = 4u << 20;
};

// The kernel's half-duplex direction control (linux/serial.h, struct serial_rs485).
struct Rs485 {
  bool enabled = false;
  bool rts_on_send = true;
  int64_t delay_before_send_ms = 0;
  int64_t delay_after_send_ms = 0;
};

// [[serial]]: one port with one device that speaks lines.
struct Serial {
  std::string name;                 // the source is serial:<name>
  std::string device_id;
  std::string port;                 // best a path below /dev/serial/by-id or by-path
  // What the profile says of the line, unless it is said here.
  int64_t baud = 0;
  std::string framing;              // 8N1: data bits, parity N E O, stop bits
  std::string flow;                 // none, rtscts, xonxoff
  std::string profile;              // file that maps lines to events
  bool receipts = false;            // the device understands {"ack":{…}} lines
  Rs485 rs485;
};

// The Unix socket of sluicectl.
struct Control {
  std::string socket = "/run/sluice/control.sock";
  std::string mode = "0660";        // octal permissions
};

struct Log {
  std::string level = "info";       // trace, debug, info, warning, error
};

struct Config {
  Gateway gateway;
  Identity identity;
  Cloud cloud;
  Sync sync;
  Journal journal;
  Outbox outbox;
  Intake intake;
  std::vector<Mqtt> mqtt;
  std::vector<Listener> listener;
  std::vector<Serial> serial;
  Control control;
  Log log;
};

// Pure. InvalidArgument with one line for each thing that is wrong, as
//   <file>:<line>: <key> = <value>: <what is allowed>
// `file` only names the text. Relative paths stay as they are.
absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& file);

// Reads and parses; relative paths in it are resolved against the folder of the file.
absl::StatusOr<Config> LoadConfig(const std::string& path);

// What a daemon with this configuration needs of the file system, one line for each thing that is wrong: files that must be
// readable, secrets that others may read (only 0600 and 0400 are allowed). OK, or FailedPrecondition.
absl::Status CheckFiles(const Config& config);

// The effective configuration, defaults included, as TOML that ParseConfig reads back to the same.
std::string PrintConfig(const Config& config);

}  // namespace sluice::config
