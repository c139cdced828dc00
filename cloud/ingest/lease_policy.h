// Who may take the lease of a queue now (architecture: lease; delivery case 9). Pure.
//
// One box has one certificate, one hardware id and one running epoch, and never goes back to an epoch that a later one of
// its own has followed. Who does is a second box: a copy of the card, or a virtual machine that was started twice.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/item.h"

namespace sluice::ingest {

// Who took it last.
struct LeaseHolder {
  std::string hardware;
  EpochId epoch;                      // the running one of its Hello
  uint64_t ordinal = 0;
  std::vector<EpochId> left_behind;   // running epochs that another one took it from, newest first

  static constexpr size_t kMostLeftBehind = 16;
};

enum class LeaseVerdict {
  kTake,            // at once
  kOtherHardware,   // not while the lease lasts
  kSecondBox,       // not while the lease lasts: the same hardware id, and yet another box
};

// `epochs` of the Hello of who wants it, in start order. `lasting`: not released, not run out.
LeaseVerdict DecideLease(const LeaseHolder& holder, bool lasting, std::string_view hardware,
                         const std::vector<Epoch>& epochs);
// The row after it was taken.
LeaseHolder TakenLease(LeaseHolder before, std::string_view hardware, const std::vector<Epoch>& epochs);

}  // namespace sluice::ingest
