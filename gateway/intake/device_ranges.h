// What was taken of one device's numbering, and what of it is safe (delivery rule R11). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/intake/interval_set.h"

namespace sluice::intake {

// Per boot of the device, the ranges *taken* (written to the journal) and the ranges *safe* (synced there, or acknowledged
// by the cloud). Only a number inside a taken range is a duplicate; a number below the highest that is not inside one is
// merely late. Not thread-safe.
//
// Bounded: the four boots that were used last, at most IntervalSet::kMaxRanges ranges for each: 32 KiB at the very worst.
// A boot number that is not among the four is a new boot, whether it is higher or lower than the others: a device whose
// counter was reset must not be taken for one that repeats itself. What was forgotten is accepted again when it comes
// again, under the same event id.
class DeviceRanges {
 public:
  static constexpr size_t kBoots = 4;

  struct Boot {
    uint64_t boot = 0;
    IntervalSet taken;
    IntervalSet safe;
  };

  bool IsTaken(uint64_t boot, uint64_t seq) const;
  bool IsSafe(uint64_t boot, uint64_t seq) const;
  // Keeps a place for the boot and makes it the one used last. Call before the journal is asked to take a number of it, so
  // that the completion finds the boot even if it is faster than MarkTaken.
  void Touch(uint64_t boot) { Use(boot); }
  // Call once the journal has it. True if the number came late: a higher one of this boot was taken before.
  bool MarkTaken(uint64_t boot, uint64_t seq);
  // May come before MarkTaken. True if it was not known to be safe before; a boot that is no longer kept is passed over.
  bool MarkSafe(uint64_t boot, uint64_t seq);

  // Null if the boot is not among those kept.
  const Boot* Find(uint64_t boot) const;
  // The boot used last comes first.
  const std::vector<Boot>& boots() const { return boots_; }

  // Adds what an older state of the same device knew; where there are too many boots, the older state's go.
  void MergeOlder(const DeviceRanges& older);

  // The safe ranges alone, as one row: version, boots in order of use, ranges as differences, all in varints. What is
  // taken and not yet safe is left out on purpose: a power cut may still take it out of the journal, and then a row that
  // claimed it would turn the device's repetition into a loss. What did survive is found in the journal's segments.
  std::string Encode() const;
  // Taken and safe are then the same. DataLoss if the bytes are not such a row.
  static absl::StatusOr<DeviceRanges> Decode(std::string_view row);

 private:
  Boot& Use(uint64_t boot);

  std::vector<Boot> boots_;
};

}  // namespace sluice::intake
