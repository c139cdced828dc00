// What kinds of devices there are: a family is a pure generator of events.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "devices/sim/dice.h"

namespace sluice::sim {

enum class Kind : uint8_t {
  kStatus, kTelemetry, kAlarm, kSale, kRefill, kStockCount, kPriceChange, kPunch, kBreak,
};
// As in topics and ledgers: status, telemetry, …, stock-count, …
std::string_view KindName(Kind kind);
bool KindFromName(std::string_view name, Kind& kind);

// What the caller would like next; a family always finds something that fits.
enum class Wish : uint8_t {
  kAny,       // the family's natural mix
  kBulk,      // telemetry or status
  kCritical,  // sale, punch, …; a sensor has only alarms
  kOnline,    // a status "online", after connecting
};

// One device's life. Not thread-safe; repeatable by its seed.
class Family {
 public:
  virtual ~Family() = default;
  virtual std::string_view Name() const = 0;  // vending, sensor, terminal
  // Appends the kind's own members to `body`, each with a comma before it: `,"product":"cola","quantity":1`.
  virtual Kind Next(Wish wish, std::string& body) = 0;
};

// A vending machine: sale, refill, stock-count, price-change, alarm, telemetry, status. One file each.
std::unique_ptr<Family> MakeVending(uint64_t seed);
// A shop sensor (fridge, door, power): telemetry, status, alarm.
std::unique_ptr<Family> MakeSensor(uint64_t seed);
// An attendance terminal: punch, break, status.
std::unique_ptr<Family> MakeTerminal(uint64_t seed);

}  // namespace sluice::sim
