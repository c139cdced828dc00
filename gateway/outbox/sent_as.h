// Under which keys the numbers of one stored epoch and queue go to the cloud. Pure.
//
// An item keeps for ever the key under which it was written and stored. Where the cloud turns out to hold another box's
// items under that key, what is pending from some number on is keyed anew (delivery rule R9): it goes out under a fresh
// epoch, numbered from 1, and nothing on the disk has to be written again.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/item.h"

namespace sluice::outbox {

// Stored numbers [first, last] are sent as 1 … of `epoch`. Of the newest part `last` is UINT64_MAX: it goes on.
struct SentPart {
  EpochId epoch;
  uint64_t first = 1;
  uint64_t last = UINT64_MAX;

  uint64_t ToSent(uint64_t stored) const { return stored - first + 1; }
  // UINT64_MAX if it is beyond counting.
  uint64_t ToStored(uint64_t sent) const { return sent > UINT64_MAX - first ? UINT64_MAX : sent + first - 1; }
  bool Holds(uint64_t stored) const { return first <= stored && stored <= last; }
};

class SentAs {
 public:
  // Everything goes out under the stored epoch itself.
  explicit SentAs(const EpochId& stored = {}) : parts_{{.epoch = stored}} {}

  // Ascending; together they cover all numbers from 1 on.
  const std::vector<SentPart>& parts() const { return parts_; }
  std::optional<SentPart> Find(const EpochId& sent) const;
  // The part that a stored number (from 1 on) belongs to.
  const SentPart& Of(uint64_t stored) const;
  // From `from` to the end of its part everything is sent as 1 … of `fresh` from now on. A part that began there is
  // forgotten.
  void Cut(uint64_t from, const EpochId& fresh);

 private:
  std::vector<SentPart> parts_;
};

}  // namespace sluice::outbox
