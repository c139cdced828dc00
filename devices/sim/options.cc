#include "devices/sim/options.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/file.h"
#include "base/status.h"
#include "devices/sim/text.h"

namespace sluice::sim {
namespace {

constexpr const char* kAbout =
    "sluice-sim invents shop devices and lets them talk to a gateway: vending machines, sensors and attendance\n"
    "terminals over MQTT 5, and machines on serial lines (ptys). Each device numbers its events, keeps them until the\n"
    "gateway's receipt names them and sends again what has none, in order.";

constexpr const char* kExamples =
    "Examples:\n"
    "  20 machines at 50 events/s until Ctrl-C, with a live line:\n"
    "    sluice-sim --vending 20 --rate 50 --broker mqtt://127.0.0.1:1883 --progress\n"
    "  10,000 events as fast as possible over TLS, with a password per device and a ledger:\n"
    "    sluice-sim --vending 40 --terminals 10 --flat-out --events 10000 --broker mqtts://127.0.0.1:8883 \\\n"
    "      --ca ca.pem --users-dir users --ledger ledger.tsv --json\n"
    "  two devices on ptys, found by the gateway as /run/sim/serial-0001 and -0002:\n"
    "    sluice-sim --serial 2 --serial-dir /run/sim --rate 1\n"
    "Exit code: 0 every event was answered (or ended by a signal), 1 some were not, 2 misuse, 3 failed.";

// mqtt://host:port, mqtts://host:port (tcp and ssl are the same, as Paho has them), host:port or host.
absl::Status ParseBroker(std::string_view url, BrokerOptions& broker) {
  if (const size_t scheme = url.find("://"); scheme != std::string_view::npos) {
    const std::string_view name = url.substr(0, scheme);
    broker.tls = name == "mqtts" || name == "ssl";
    if (!broker.tls && name != "mqtt" && name != "tcp") {
      return absl::InvalidArgumentError(StrCat("--broker: scheme ", name, " is neither mqtt nor mqtts"));
    }
    url.remove_prefix(scheme + 3);
  }
  while (url.ends_with('/')) url.remove_suffix(1);
  broker.port = broker.tls ? 8883 : 1883;
  const size_t colon = url.rfind(':');
  if (colon != std::string_view::npos && url.find(']', colon) == std::string_view::npos) {
    uint64_t port = 0;
    if (!ParseNumber(url.substr(colon + 1), port) || port == 0 || port > 65535) {
      return absl::InvalidArgumentError("--broker: the port is 1 to 65535");
    }
    broker.port = static_cast<int>(port);
    url = url.substr(0, colon);
  }
  if (url.starts_with('[') && url.ends_with(']')) url = url.substr(1, url.size() - 2);
  if (url.empty()) return absl::InvalidArgumentError("--broker: no host");
  broker.host = std::string(url);
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

  auto* broker = app.add_option_group("Broker");
  std::string url = "mqtt://127.0.0.1:1883";
  std::string password_file;
  broker->add_option("--broker", url, "mqtt://host:port or mqtts://host:port")->capture_default_str();
  broker->add_option("--ca", options.broker.ca, "CA that signed the broker's certificate (mqtts)");
  auto* cert = broker->add_option("--cert", options.broker.certificate, "Client certificate; {device} in it is replaced");
  broker->add_option("--key", options.broker.key, "Its key; {device} in it is replaced")->needs(cert);
  auto* users = broker->add_option("--users-dir", options.broker.users_dir,
                                   "A file per device, named like it, with its password (mode 0600)");
  auto* user = broker->add_option("--username", options.broker.username, "One user for all devices")->excludes(users);
  broker->add_option("--password-file", password_file, "Its password, in a file")->needs(user);

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
  promise->add_flag("--no-receipts", no_receipts, "Be content with the broker's PUBACK");

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
  if (absl::Status status = ParseBroker(url, options.broker); !status.ok()) return misuse(MessageOf(status));
  if (options.broker.tls && options.broker.ca.empty()) return misuse("mqtts needs --ca");
  if (serial->count() > 0 && options.serial_dir.empty()) return misuse("--serial needs --serial-dir");
  if (options.vending + options.sensors + options.terminals + options.serial == 0) {
    return misuse("no devices: give --vending, --sensors, --terminals or --serial");
  }
  if (!password_file.empty()) {
    absl::StatusOr<std::string> password = ReadFile(password_file, 4096);
    if (!password.ok()) return misuse(MessageOf(password.status()));
    while (password->ends_with('\n') || password->ends_with('\r')) password->pop_back();
    options.broker.password = *std::move(password);
  }
  if (!flat_out && rate->count() == 0) options.rate = 10;
  options.device.resend_after_us = static_cast<int64_t>(resend_after_ms * 1000);
  options.device.receipts = options.broker.receipts = !no_receipts;
  return options;
}

}  // namespace sluice::sim
