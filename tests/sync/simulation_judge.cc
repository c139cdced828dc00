#include "tests/sync/simulation_judge.h"

#include "base/strings.h"

namespace sluice::sync {
namespace {

std::string CheckEffects(const std::vector<Produced>& produced, const ModelStore& store, const std::set<EventId>& named,
                         std::set<EventId>* seen) {
  std::map<EventId, size_t> by_id;
  for (size_t i = 0; i < produced.size(); ++i) by_id[produced[i].id] = i;
  std::map<size_t, size_t> last;   // of each box's own devices
  for (const Effect& effect : store.effects()) {
    const auto it = by_id.find(IdOfPayload(effect.payload));
    if (it == by_id.end()) return StrCat("an effect that nobody produced, number ", effect.number);
    const Produced& one = produced[it->second];
    if (one.payload != effect.payload) return StrCat("another payload, number ", effect.number);
    if (one.shop != effect.shop) return StrCat("accepted in ", one.shop, ", in effect in ", effect.shop);
    if (!seen->insert(one.id).second) return StrCat("a second effect, number ", effect.number);
    // What the box lost, by a power cut or by an old copy, and what was told for lost, has lost its place: a copy of the
    // box may bring it later.
    if (one.torn_off || one.set_back || named.contains(one.id)) continue;
    if (last.contains(one.box) && last[one.box] > it->second) return StrCat("out of order, number ", effect.number);
    last[one.box] = it->second;
  }
  return "";
}

}  // namespace

void KeyTable::Add(const ModelOutbox& outbox) {
  for (const auto& [key, id] : outbox.keys()) events_[key].insert(id);
  origins_.insert(outbox.origins().begin(), outbox.origins().end());
}

std::set<EventId> KeyTable::Find(EpochId epoch, uint64_t number) const {
  for (auto origin = origins_.find(epoch); origin != origins_.end(); origin = origins_.find(epoch)) {
    epoch = origin->second.first;
    number += origin->second.second;
  }
  const auto found = events_.find({epoch, number});
  return found == events_.end() ? std::set<EventId>() : found->second;
}

Verdict JudgeWorld(const std::vector<Produced>& produced, const KeyTable& keys, const ModelStore& store,
                   const Troubles& troubles) {
  Verdict verdict;
  std::set<EventId> seen, named;
  for (const DeclaredLoss& loss : store.losses()) {
    const bool excused = loss.reason == GapReason::kBeyondReplayWindow ? troubles.cloud_restores > 0
                         : loss.reason == GapReason::kLostTail         ? troubles.known_tails > 0
                                                                       : false;
    if (!excused) verdict.fault = StrCat("a loss declared without reason, from ", loss.first);
    for (uint64_t number = loss.first; number <= loss.last; ++number) {
      const std::set<EventId> events = keys.Find(loss.epoch, number);
      if (events.empty()) verdict.fault = StrCat("a declared loss of nothing, number ", number);
      named.insert(events.begin(), events.end());
    }
  }
  if (!verdict.fault.empty()) return verdict;
  verdict.lost_named = named.size();
  verdict.fault = CheckEffects(produced, store, named, &seen);
  if (!verdict.fault.empty()) return verdict;
  if (store.repeats() > 0 && troubles.copies + troubles.edge_restores == 0) {
    verdict.fault = StrCat(store.repeats(), " events came under two keys without any reason");
  }
  for (const Produced& one : produced) {
    const bool told = named.contains(one.id);
    if (seen.contains(one.id)) {
      if (told && troubles.copies + troubles.edge_restores == 0) verdict.fault = StrCat("lost and found, number ", one.number);
      continue;
    }
    if (!one.safe || one.set_back) continue;
    // A tail that was lost was safe nowhere: a copy of the box that lacks it excuses nothing, unless the cloud forgot it.
    // What was torn off, the cloud alone had: the third stated limit of the promise.
    if ((told || one.torn_off) && troubles.cloud_restores > 0) continue;
    verdict.fault = StrCat("missing, number ", one.number, " of epoch ", one.epoch.ToHex(), " of box ", one.box);
  }
  return verdict;
}

}  // namespace sluice::sync
