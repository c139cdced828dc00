// The command line of sluice-sim.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "devices/sim/device.h"
#include "devices/sim/mqtt_link.h"

namespace sluice::sim {

struct Options {
  uint64_t vending = 0, sensors = 0, terminals = 0, serial = 0;
  std::string prefix;
  std::string serial_dir;

  double rate = 0;               // events a second over all devices; 0: flat out
  uint64_t events = 0;           // stop after so many; 0: no limit
  double duration_s = 0;         // stop after so long; 0: no limit
  double critical_share = -1;    // below 0: each family's own mix
  uint64_t seed = 1;
  double connect_wait_s = 5;     // nobody sends before all are connected, or so many seconds have gone
  double wait_receipts_s = 10;

  DeviceOptions device;
  ServerOptions server;
  std::string ledger;
  bool ledger_fsync = false;
  std::string state;
  bool progress = false;
  bool json = false;
};

// The options, or the exit code when there is nothing to run (--help: 0, misuse: 2), with the message printed.
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace sluice::sim
