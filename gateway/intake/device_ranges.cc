#include "gateway/intake/device_ranges.h"

#include <algorithm>

#include "absl/status/status.h"
#include "base/status.h"
#include "gateway/intake/wire.h"

namespace sluice::intake {
namespace {

constexpr uint64_t kRowVersion = 1;

absl::Status Bad(std::string_view what) { return absl::DataLossError(StrCat("device ranges: ", what)); }

}  // namespace

const DeviceRanges::Boot* DeviceRanges::Find(uint64_t boot) const {
  for (const Boot& known : boots_) {
    if (known.boot == boot) return &known;
  }
  return nullptr;
}

bool DeviceRanges::IsTaken(uint64_t boot, uint64_t seq) const {
  const Boot* known = Find(boot);
  return known != nullptr && known->taken.Contains(seq);
}

bool DeviceRanges::IsSafe(uint64_t boot, uint64_t seq) const {
  const Boot* known = Find(boot);
  return known != nullptr && known->safe.Contains(seq);
}

DeviceRanges::Boot& DeviceRanges::Use(uint64_t boot) {
  if (!boots_.empty() && boots_.front().boot == boot) return boots_.front();
  const auto at = std::find_if(boots_.begin(), boots_.end(), [boot](const Boot& known) { return known.boot == boot; });
  if (at != boots_.end()) {
    std::rotate(boots_.begin(), at, at + 1);
    return boots_.front();
  }
  if (boots_.size() == kBoots) boots_.pop_back();
  boots_.insert(boots_.begin(), Boot{.boot = boot, .taken = {}, .safe = {}});
  return boots_.front();
}

bool DeviceRanges::MarkTaken(uint64_t boot, uint64_t seq) {
  Boot& known = Use(boot);
  const bool late = seq < known.taken.highest();
  known.taken.Insert(seq);
  return late;
}

bool DeviceRanges::MarkSafe(uint64_t boot, uint64_t seq) {
  for (Boot& known : boots_) {
    if (known.boot == boot) return known.safe.Insert(seq);
  }
  return false;
}

void DeviceRanges::MergeOlder(const DeviceRanges& older) {
  for (const Boot& boot : older.boots_) {
    const auto at =
        std::find_if(boots_.begin(), boots_.end(), [&boot](const Boot& known) { return known.boot == boot.boot; });
    if (at != boots_.end()) {
      at->taken.InsertAll(boot.taken);
      at->safe.InsertAll(boot.safe);
    } else if (boots_.size() < kBoots) {
      boots_.push_back(boot);
    }
  }
}

std::string DeviceRanges::Encode() const {
  std::string row;
  PutVarint(row, kRowVersion);
  PutVarint(row, boots_.size());
  for (const Boot& boot : boots_) {
    PutVarint(row, boot.boot);
    PutVarint(row, boot.safe.ranges().size());
    uint64_t previous = 0;
    for (const auto& [first, last] : boot.safe.ranges()) {
      PutVarint(row, first - previous);
      PutVarint(row, last - first);
      previous = last;
    }
  }
  return row;
}

absl::StatusOr<DeviceRanges> DeviceRanges::Decode(std::string_view row) {
  DeviceRanges out;
  uint64_t version, boots;
  if (!TakeVarint(row, version) || version != kRowVersion) return Bad("unknown version");
  if (!TakeVarint(row, boots) || boots > kBoots) return Bad("too many boots");
  for (uint64_t i = 0; i < boots; ++i) {
    Boot boot;
    uint64_t ranges;
    if (!TakeVarint(row, boot.boot) || !TakeVarint(row, ranges)) return Bad("truncated");
    if (ranges > IntervalSet::kMaxRanges) return Bad("too many ranges");
    if (out.Find(boot.boot) != nullptr) return Bad("a boot twice");
    uint64_t previous = 0;
    for (uint64_t j = 0; j < ranges; ++j) {
      uint64_t step, length;
      if (!TakeVarint(row, step) || !TakeVarint(row, length)) return Bad("truncated");
      // Numbers begin at 1, and neighbours would be one range.
      if (step < (j == 0 ? 1 : 2) || step > UINT64_MAX - previous) return Bad("ranges out of order");
      const uint64_t first = previous + step;
      if (length > UINT64_MAX - first) return Bad("range beyond 64 bits");
      previous = first + length;
      boot.safe.InsertRange(first, previous);
    }
    boot.taken = boot.safe;
    out.boots_.push_back(std::move(boot));
  }
  if (!row.empty()) return Bad("bytes after the end");
  return out;
}

}  // namespace sluice::intake
