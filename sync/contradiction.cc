#include "sync/contradiction.h"

#include "base/strings.h"

namespace sluice::sync {

std::optional<Contradiction> FindContradiction(const OurSide& ours, uint64_t cursor, const std::string& event_id) {
  if (ours.running && cursor > ours.last) {
    return Contradiction{Alarm::kAckBeyondSent,
                         StrCat("the cloud is at ", cursor, ", the last number here is ", ours.last)};
  }
  if (cursor == 0 || !ours.id) return std::nullopt;
  const std::string here = StrCat(" stands at ", cursor, " of epoch ", ours.epoch.ToHex(), ", here it is ", ours.id->ToUuid());
  const auto theirs = EventId::FromBytes(event_id);
  if (theirs && *theirs != *ours.id) return Contradiction{Alarm::kCloned, StrCat("event ", theirs->ToUuid(), here)};
  // A copy of this box declared it lost, or this one did before it found the event again. What was acknowledged to us is over.
  if (!theirs && cursor > ours.trusted_to) return Contradiction{Alarm::kCloned, StrCat("a gap", here)};
  return std::nullopt;
}

}  // namespace sluice::sync
