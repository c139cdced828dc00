// One boot of one device: what its ledger says of each number, and with which sending each is held to have arrived.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "tests/judge/kind.h"

namespace sluice::judge {

struct Record {
  // With a single sending that one. With more than one see Boot::Arrival; after an answer has named it, what that returned.
  uint32_t arrival = 0;
  Kind kind = Kind::kUnknown;
  bool sent = false;
  bool named = false;          // by an answer
  bool puback = false;
  bool refused = false;
  uint8_t effects = 0;         // saturating
  Detail detail = kNotTold;
};

// Numbers are dense from 1, but nothing here trusts that. Call in the order of the ledger's lines.
class Boot {
 public:
  Record& At(uint64_t seq);
  const Record* Find(uint64_t seq) const;

  // `sending` counts the device's sendings over all its boots, in order.
  void Sent(uint64_t seq, Kind kind, Detail detail, uint32_t sending);
  // The broker said that the newest sending reached nobody.
  void Unheard(uint64_t seq);
  // An answer of the gateway (a receipt; on its own listener a PUBACK) names closed ranges. Returns how many numbers of them
  // were never sent; each counts once.
  uint64_t Answer(const std::vector<std::pair<uint64_t, uint64_t>>& ranges);

  // The earliest sending with which the number can have come to the gateway, as far as the ledger tells: the first that
  // neither reached nobody nor was overtaken. The way is first in, first out: a sending was overtaken when an answer names
  // a number of the same queue that arrived with a later sending, and not this one. If all were overtaken and it was
  // taken nonetheless, it came behind the one that overtook them.
  uint32_t Arrival(uint64_t seq) const;

  template <typename F>
  void ForEach(F&& f) const {
    for (uint64_t seq = 0; seq < dense_.size(); ++seq) f(seq, dense_[seq]);
    for (const auto& [seq, record] : sparse_) f(seq, record);
  }

 private:
  struct Sending {
    uint32_t at = 0;
    bool unheard = false;
  };
  using Overtaken = std::array<uint32_t, kQueues>;

  uint64_t Name(uint64_t first, uint64_t last, Overtaken& overtaken);
  uint64_t NameNew(uint64_t first, uint64_t last, Overtaken& overtaken);
  std::vector<Sending>& SendingsOf(uint64_t seq, const Record& record);

  std::vector<Record> dense_;
  std::map<uint64_t, Record> sparse_;     // far beyond dense_
  std::map<uint64_t, uint64_t> named_;    // first → last, disjoint, not adjacent
  // Of numbers that no answer has named and that were sent more than once or reached nobody: all sendings.
  std::map<uint64_t, std::vector<Sending>> sendings_;
  // By queue: what was sent before this sending, and no answer has named, was overtaken.
  Overtaken overtaken_{};
};

}  // namespace sluice::judge
