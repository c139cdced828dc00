// The judge's books: for every numbered event what the source says, what the cloud's stores say and what the bus says.
//
// The judge shares no code with edge or cloud; names, queues and formats are written down here once more, from
// ARCHITECTURE.md. It matches by (device, boot, seq), never by event_id.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/judge/boot.h"
#include "tests/judge/kind.h"
#include "tests/judge/stock.h"

namespace sluice::judge {

struct Device {
  std::string name;
  bool in_ledger = false;
  bool on_listener = false;  // as the newest D line has it
  uint32_t sendings = 0;
  std::map<uint64_t, Boot> boots;
};

// Where and how often an effect or a bus event was seen.
struct Sighting {
  uint32_t device = 0;
  Queue queue = Queue::kUnknown;
  Kind kind = Kind::kUnknown;   // as the store or the bus has it
  uint16_t type = 0;      // of a bus event: index of its eventType
  uint64_t boot = 0;
  uint64_t seq = 0;
  int64_t position = 0;
  uint64_t id = 0;        // of a bus event: hash of its eventId
};

struct Verdict {
  uint64_t devices = 0, accepted = 0, applied = 0, duplicates = 0, missing = 0, order_breaks = 0;
  uint64_t duplicates_store = 0, duplicates_bus = 0, missing_effects = 0, missing_events = 0;
  uint64_t order_breaks_store = 0, order_breaks_bus = 0, late = 0, redelivered = 0;
  uint64_t sent = 0, puback = 0, refused = 0, lost_in_broker = 0, open = 0;
  uint64_t named_unsent = 0;      // an answer for a number that was never sent
  uint64_t misplaced = 0;         // an effect in another queue than its kind's
  uint64_t wrong_kinds = 0;       // an effect or bus event of another kind than was sent
  uint64_t wrong_types = 0;       // bus events of a type that their kind is not told as
  uint64_t shared_ids = 0;        // bus events under the eventId of another
  uint64_t unsent = 0;            // effects and bus events of numbers that were never sent
  uint64_t foreign = 0;           // effects and bus events of devices that no ledger knows
  uint64_t wrong_stock = 0;       // movements and levels that do not follow from what was sent
  uint64_t effects = 0, events = 0, unnumbered = 0;
  uint64_t dead_letters = 0;
  uint64_t declared_lost = 0;     // by gaps that the cloud recorded
  uint64_t unexplained = 0;       // accepted, without effect, and more than the declared gaps can cover
  uint64_t torn_lines = 0;
  std::map<std::string, uint64_t> missing_by_kind;
  std::vector<std::string> faults;  // the first ones, for people

  bool Good(bool allow_foreign = false) const {
    return duplicates == 0 && missing == 0 && order_breaks == 0 && applied == accepted && named_unsent == 0 &&
           misplaced == 0 && wrong_kinds == 0 && wrong_types == 0 && shared_ids == 0 && unsent == 0 && wrong_stock == 0 &&
           (foreign == 0 || allow_foreign);
  }
  std::string ToJson() const;
};

// Filled by the three readers, judged once.
class Tally {
 public:
  // Of the ledgers.
  void SourceDevice(std::string_view device, std::string_view transport);
  void Sent(std::string_view device, uint64_t boot, uint64_t seq, Kind kind, Detail detail);
  void Puback(std::string_view device, uint64_t boot, uint64_t seq);
  void Unheard(std::string_view device, uint64_t boot, uint64_t seq);
  void Receipt(std::string_view device, uint64_t boot, const std::vector<std::pair<uint64_t, uint64_t>>& ranges);
  void Refused(std::string_view device, uint64_t boot, uint64_t seq);
  // Of the stores and the bus.
  void Effect(std::string_view device, uint64_t boot, uint64_t seq, Kind kind, Queue queue, int64_t position);
  void Event(std::string_view type, std::string_view event_id, std::string_view device, uint64_t boot, uint64_t seq,
             Kind kind);

  // Counters that readers fill directly: torn_lines, unnumbered, dead_letters, declared_lost, faults.
  Verdict notes;
  Stock stock;

  Verdict Judge(size_t show) const;

 private:
  using Fault = std::function<void(const std::string&)>;
  // What the cloud says beyond what was sent.
  void CheckWhatWasSent(Verdict& v, const Fault& fault) const;
  void CheckIds(Verdict& v, const Fault& fault) const;
  void CheckStock(Verdict& v, const Fault& fault) const;
  uint32_t IndexOf(std::string_view device);
  Device& DeviceAt(std::string_view device) { return devices_[IndexOf(device)]; }
  // What tells a device that the gateway took an event: a receipt, or on the gateway's own listener a PUBACK.
  void Answered(Device& source, uint64_t boot, const std::vector<std::pair<uint64_t, uint64_t>>& ranges);
  Record& At(std::string_view device, uint64_t boot, uint64_t seq) { return DeviceAt(device).boots[boot].At(seq); }

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::vector<Device> devices_;
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> index_;
  std::unordered_map<std::string, uint16_t, Hash, std::equal_to<>> types_;
  std::vector<Sighting> effects_;
  std::vector<Sighting> events_;
};

}  // namespace sluice::judge
