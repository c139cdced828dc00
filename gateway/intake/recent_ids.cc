#include "gateway/intake/recent_ids.h"

namespace sluice::intake {

std::optional<bool> RecentIds::Find(const EventId& id) const {
  const auto at = safe_.find(id);
  if (at == safe_.end()) return std::nullopt;
  return at->second;
}

void RecentIds::MarkTaken(const EventId& id) { Remember(id, false); }

void RecentIds::MarkSafe(const EventId& id) { Remember(id, true); }

void RecentIds::Remember(const EventId& id, bool safe) {
  const auto [at, added] = safe_.try_emplace(id, safe);
  if (!added) {
    at->second = at->second || safe;
    return;
  }
  order_.push_back(id);
  if (order_.size() <= capacity_) return;
  safe_.erase(order_.front());
  order_.pop_front();
}

}  // namespace sluice::intake
