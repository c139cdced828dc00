#include "devices/sim/options.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "base/file.h"
#include "base/status.h"
#include "devices/sim/text.h"

namespace sluice::sim {
namespace {

constexpr const char* kAbout =
    "sluice-sim invents shop devices and lets them talk to a gateway: vending machines, sensors and attendance\n"
    "terminals over MQTT, through a broker or on the gateway's own listener, and machines on serial lines (ptys). Each\n"
    "device numbers its events, keeps them until the gateway answers, by receipt or (listener) by PUBACK, and sends\n"
    "again what has no answer, in order.";

constexpr const char* kExamples =
    "Examples:\n"
    "  20 machines at 50 events/s until Ctrl-C, with a live line:\n"
    "    sluice-sim --vending 20 --rate 50 --broker mqtt://127.0.0.1:1883 --progress\n"
    "  10,000 events as fast as possible over TLS, with a password per device and a ledger:\n"
    "    sluice-sim --vending 40 --terminals 10 --flat-out --events 10000 --broker mqtts://127.0.0.1:8883 \\\n"
    "      --ca ca.pem --credentials users --ledger ledger.tsv --json\n"
    "  200 devices on the gateway's own listener, content with its PUBACK:\n"
    "    sluice-sim --vending 200 --rate 1000 --listener mqtts://gateway:8884 --ca ca.pem --credentials users\n"
    "  two devices on ptys, found by the gateway as /run/sim/serial-0001 and -0002:\n"
    "    sluice-sim --serial 2 --serial-dir /run/sim --rate 1\n"
    "Exit code: 0 every event was answered (or ended by a signal), 1 some were not, 2 misuse, 3 failed.";

// mqtt://host:port, mqtts://host:port (tcp and ssl are the same, as Paho has them), host:port or host.
absl::Status ParseUrl(std::string_view option, std::string_view url, ServerOptions& server) {
  if (const size_t scheme = url.find("://"); scheme != std::string_view::npos) {
    const std::string_view name = url.substr(0, scheme);
    server.tls = name == "mqtts" || name == "ssl";
    if (!server.tls && name != "mqtt" && name != "tcp") {
      return absl::InvalidArgumentError(StrCat(option, ": scheme ", name, " is neither mqtt nor mqtts"));
    }
    url.remove_prefix(scheme + 3);
  }
  while (url.ends_with('/')) url.remove_suffix(1);
  server.port = server.tls ? 8883 : 1883;
  const size_t colon = url.rfind(':');
  if (colon != std::string_view::npos && url.find(']', colon) == std::string_view::npos) {
    uint64_t port = 0;
    if (!ParseNumber(url.substr(colon + 1), port) || port == 0 || port > 65535) {
      return absl::InvalidArgumentError(StrCat(option, ": the port is 1 to 65535"));
    }
    server.port = static_cast<int>(port);
    url = url.substr(0, colon);
  }
  if (url.starts_with('[') && url.ends_with(']')) url = url.substr(1, url.size() - 2);
  if (url.empty()) return absl::InvalidArgumentError(StrCat(option, ": no host"));
  server.host = std::string(url);
  return absl::OkStatus();
}

// A folder with a file per device, or a file with a line `device:password` for each.
absl::Status ParseCredentials(const std::string& path, ServerOptions& server) {
  if (std::filesystem::is_directory(path)) {
    server.credentials = path;
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  size_t number = 0;
  for (size_t from = 0; from < text.size();) {
    const size_t end = std::min(text.find('\n', from), text.size());
    std::string_view line = std::string_view(text).substr(from, end - from);
    from = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const size_t colon = line.find(':');
    if (colon == 0 || colon == std::string_view::npos) {
      return absl::InvalidArgumentError(StrCat(path, ":", number, ": expected device:password"));
    }
    server.passwords.emplace(line.substr(0, colon), line.substr(colon + 1));
  }
  if (server.passwords.empty()) return absl::InvalidArgumentError(StrCat(path, ": no device:password in it"));
  return absl::OkStatus();
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  Options options;
  CLI::App app(kAbout, "sluice-sim");
  app.footer(kExamples);
  app.get_formatter()->column_width(34);

  auto* fleet = app.add_option_group("Devices");
  fleet->add_option("--vending", options.vending, "Vending machines vm-0001 …");
  fleet->add_option("--sensors", options.sensors, "Shop sensors sensor-0001 …");
  fleet->add_option("--terminals", options.terminals, "Attendance terminals term-0001 …");
  auto* serial = fleet->add_option("--serial", options.serial,
                                   "Devices on ptys serial-0001 …: machine, sensor, terminal in turn");
  fleet->add_option("--serial-dir", options.serial_dir, "Where the symlinks to the ptys go: DIR/<device>");
  fleet->add_option("--prefix", options.prefix, "Put before every device's name");

  auto* load = app.add_option_group("Load");
  bool flat_out = false;
  auto* rate = load->add_option("--rate", options.rate, "Events a second, all devices together (default 10)")
                   ->check(CLI::PositiveNumber);
  load->add_flag("--flat-out", flat_out, "As fast as receipts come back")->excludes(rate);
  load->add_option("--events", options.events, "Stop after so many events");
  load->add_option("--duration", options.duration_s, "Stop after so many seconds")->check(CLI::NonNegativeNumber);
  load->add_option("--critical-share", options.critical_share,
                   "Share of sales, punches and the like among the events, 0 to 1 (default: each family's own mix)")
      ->check(CLI::Range(0.0, 1.0));
  load->add_option("--payload-bytes", options.device.body_bytes, "Pad bodies to about this")
      ->check(CLI::Range(0, 1 << 20))->capture_default_str();
  load->add_option("--window", options.device.window, "Events a device keeps open at most")
      ->check(CLI::Range(1, 1 << 20))->capture_default_str();
  load->add_option("--seed", options.seed, "The same seed invents the same lives")->capture_default_str();

  auto* server = app.add_option_group("MQTT server");
  std::string broker_url = "mqtt://127.0.0.1:1883";
  std::string listener_url, credentials, password_file;
  auto* broker = server->add_option("--broker", broker_url, "A broker before the gateway: mqtt://host:port or mqtts://host:port")
                     ->capture_default_str();
  auto* listener = server->add_option("--listener", listener_url, "The gateway's own MQTT server, in place of a broker")
                       ->excludes(broker);
  server->add_option("--ca", options.server.ca, "CA that signed the server's certificate (mqtts)");
  auto* cert = server->add_option("--cert", options.server.certificate, "Client certificate; {device} in it is replaced");
  server->add_option("--key", options.server.key, "Its key; {device} in it is replaced")->needs(cert);
  auto* users = server->add_option("--credentials,--users-dir", credentials,
                                   "A folder with a file per device that holds its password, or a file of device:password");
  auto* user = server->add_option("--username", options.server.username, "One user for all devices")->excludes(users);
  server->add_option("--password-file", password_file, "Its password, in a file")->needs(user);
  std::string version = "5";
  server->add_option("--mqtt", version, "Version of the protocol")->check(CLI::IsMember({"5", "3.1.1"}))->capture_default_str();
  server->add_option("--keepalive", options.server.keepalive_s, "Seconds; 0: none")->capture_default_str();
  server->add_option("--connect-wait", options.connect_wait_s, "Nobody sends before all are connected, or so many seconds went by")
      ->check(CLI::NonNegativeNumber)->capture_default_str();

  auto* promise = app.add_option_group("Delivery");
  bool no_receipts = false;
  double resend_after_ms = 5000;
  promise->add_option("--boot", options.device.boot, "Boot number (default: one above the state file's, or the time)");
  promise->add_option("--state", options.state, "Folder that keeps open events over restarts of the simulator");
  promise->add_option("--ledger", options.ledger, "Append what was sent and answered to this file");
  promise->add_flag("--ledger-fsync", options.ledger_fsync, "Sync the ledger at each write");
  promise->add_option("--wait-receipts", options.wait_receipts_s, "At the end wait so many seconds for open receipts")
      ->check(CLI::NonNegativeNumber)->capture_default_str();
  promise->add_option("--resend-after", resend_after_ms, "Milliseconds without a receipt before sending again")
      ->check(CLI::PositiveNumber)->capture_default_str();
  promise->add_flag("--hasty", options.device.hasty, "Send on though the broker says that nobody is there to hear it");
  std::string trust, session;
  auto* trusted = promise->add_option("--trust", trust,
                                      "What ends a device's care for an event (default: receipt with a broker, puback on the listener)")
                      ->check(CLI::IsMember({"receipt", "puback"}));
  promise->add_flag("--no-receipts", no_receipts, "The same as --trust puback")->excludes(trusted);
  promise->add_option("--session", session,
                      "After a lost connection: a clean one, or resume what is in flight with DUP (default with PUBACK on the listener)")
      ->check(CLI::IsMember({"clean", "resume"}));
  promise->add_flag("--dup-always", options.server.dup_always,
                    "With --session resume: DUP also where the server has lost the session");

  app.add_flag("--progress", options.progress, "A live line on standard error");
  app.add_flag("--json", options.json, "One JSON line with the totals at the end");

  const auto misuse = [](std::string_view message) {
    std::cerr << "sluice-sim: " << message << "\n  sluice-sim --help tells the options\n";
    return 2;
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.server.listener = listener->count() > 0;
  const absl::Status url = options.server.listener ? ParseUrl("--listener", listener_url, options.server)
                                                   : ParseUrl("--broker", broker_url, options.server);
  if (!url.ok()) return misuse(MessageOf(url));
  if (options.server.tls && options.server.ca.empty()) return misuse("mqtts needs --ca");
  if (!credentials.empty()) {
    if (absl::Status status = ParseCredentials(credentials, options.server); !status.ok()) return misuse(MessageOf(status));
  }
  if (version == "3.1.1") options.server.version = MqttVersion::k311;
  if (serial->count() > 0 && options.serial_dir.empty()) return misuse("--serial needs --serial-dir");
  if (options.vending + options.sensors + options.terminals + options.serial == 0) {
    return misuse("no devices: give --vending, --sensors, --terminals or --serial");
  }
  if (!password_file.empty()) {
    absl::StatusOr<std::string> password = ReadFile(password_file, 4096);
    if (!password.ok()) return misuse(MessageOf(password.status()));
    while (password->ends_with('\n') || password->ends_with('\r')) password->pop_back();
    options.server.password = *std::move(password);
  }
  if (!flat_out && rate->count() == 0) options.rate = 10;
  options.device.resend_after_us = static_cast<int64_t>(resend_after_ms * 1000);
  const bool receipts = trust.empty() ? !options.server.listener && !no_receipts : trust == "receipt";
  options.device.receipts = options.server.receipts = receipts;
  options.server.resume = session.empty() ? options.server.listener && !receipts : session == "resume";
  // What a receipt has named is forgotten, and could not be sent again under its packet id.
  if (options.server.resume && receipts) return misuse("--session resume needs --trust puback");
  if (options.server.dup_always && !options.server.resume) return misuse("--dup-always needs --session resume");
  return options;
}

}  // namespace sluice::sim
