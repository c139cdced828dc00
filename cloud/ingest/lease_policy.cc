#include "cloud/ingest/lease_policy.h"

#include <algorithm>

namespace sluice::ingest {
namespace {

Epoch RunningOf(const std::vector<Epoch>& epochs) { return epochs.empty() ? Epoch{} : epochs.back(); }

}  // namespace

LeaseVerdict DecideLease(const LeaseHolder& holder, bool lasting, std::string_view hardware,
                         const std::vector<Epoch>& epochs) {
  if (!lasting) return LeaseVerdict::kTake;
  if (holder.hardware != hardware) return LeaseVerdict::kOtherHardware;
  const Epoch running = RunningOf(epochs);
  if (running.id == holder.epoch) return LeaseVerdict::kTake;
  // A later epoch on the same store.
  for (const Epoch& epoch : epochs) {
    if (epoch.id == holder.epoch) return LeaseVerdict::kTake;
  }
  // One that is seen for the first time may be a box that was re-imaged (case 7), or be of a run that is over and whose
  // Hello came late; the run that followed it comes back at once.
  const auto& left = holder.left_behind;
  const bool followed = std::find(left.begin(), left.end(), running.id) != left.end();
  return followed && running.ordinal <= holder.ordinal ? LeaseVerdict::kSecondBox : LeaseVerdict::kTake;
}

LeaseHolder TakenLease(LeaseHolder before, std::string_view hardware, const std::vector<Epoch>& epochs) {
  const Epoch running = RunningOf(epochs);
  before.hardware = hardware;
  if (before.epoch == running.id) return before;
  std::erase(before.left_behind, running.id);
  if (!before.epoch.IsZero()) before.left_behind.insert(before.left_behind.begin(), before.epoch);
  if (before.left_behind.size() > LeaseHolder::kMostLeftBehind) before.left_behind.resize(LeaseHolder::kMostLeftBehind);
  before.epoch = running.id;
  before.ordinal = running.ordinal;
  return before;
}

}  // namespace sluice::ingest
