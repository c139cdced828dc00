// What the judge reads: ledgers of the simulators, the bus files and the stores of the cloud (ARCHITECTURE.md).
#pragma once

#include <string>

#include "tests/judge/tally.h"

namespace sluice::judge {

// False with a message if the file cannot be read. A last line without its newline is torn: counted, not taken.
bool ReadLedger(const std::string& path, Tally& tally, std::string& error);

// <folder>/<service>-events.jsonl and what was set aside of it. No file: no events.
bool ReadBus(const std::string& path, Tally& tally, std::string& error);

// <folder>/<service>.db, read only; the service may be writing. No file: no effects.
bool ReadStore(const std::string& path, Tally& tally, std::string& error);

}  // namespace sluice::judge
