#include "gateway/outbox/sent_as.h"

#include <algorithm>

namespace sluice::outbox {

std::optional<SentPart> SentAs::Find(const EpochId& sent) const {
  for (const SentPart& part : parts_) {
    if (part.epoch == sent) return part;
  }
  return std::nullopt;
}

const SentPart& SentAs::Of(uint64_t stored) const {
  const auto after = std::partition_point(parts_.begin(), parts_.end(),
                                          [stored](const SentPart& part) { return part.first <= stored; });
  return after == parts_.begin() ? parts_.front() : *std::prev(after);
}

void SentAs::Cut(uint64_t from, const EpochId& fresh) {
  const auto at = std::find_if(parts_.begin(), parts_.end(), [from](const SentPart& part) { return part.Holds(from); });
  if (at == parts_.end()) return;
  if (at->first == from) {
    at->epoch = fresh;
    return;
  }
  const SentPart rest{.epoch = fresh, .first = from, .last = at->last};
  at->last = from - 1;
  parts_.insert(std::next(at), rest);
}

}  // namespace sluice::outbox
