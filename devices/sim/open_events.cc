#include "devices/sim/open_events.h"

#include <algorithm>
#include <tuple>

namespace sluice::sim {

void OpenEvents::Add(OpenEvent event) {
  events_.push_back(std::move(event));
  ++open_;
}

OpenEvent* OpenEvents::Next() {
  while (next_ < events_.size() && events_[next_].closed) ++next_;
  return next_ < events_.size() ? &events_[next_] : nullptr;
}

void OpenEvents::Sent() {
  events_[next_].sent = true;
  ++next_;
}

void OpenEvents::GoBack() { next_ = 0; }

size_t OpenEvents::LowerBound(uint64_t boot, uint64_t seq) const {
  const auto found = std::lower_bound(events_.begin(), events_.end(), std::make_pair(boot, seq),
                                      [](const OpenEvent& event, const std::pair<uint64_t, uint64_t>& key) {
                                        return std::tie(event.boot, event.seq) < std::tie(key.first, key.second);
                                      });
  return static_cast<size_t>(found - events_.begin());
}

OpenEvent* OpenEvents::Find(uint64_t boot, uint64_t seq) {
  const size_t index = LowerBound(boot, seq);
  if (index == events_.size() || events_[index].boot != boot || events_[index].seq != seq) return nullptr;
  return &events_[index];
}

bool OpenEvents::CloseAt(size_t index) {
  if (events_[index].closed) return false;
  events_[index].closed = true;
  --open_;
  return true;
}

OpenEvents::Change OpenEvents::Close(const Receipt& receipt) {
  Change change;
  for (const auto& [first, last] : receipt.ranges) {
    for (size_t i = LowerBound(receipt.boot, first);
         i < events_.size() && events_[i].boot == receipt.boot && events_[i].seq <= last; ++i) {
      if (CloseAt(i)) ++change.closed;
    }
  }
  for (const Receipt::Refused& refused : receipt.refused) {
    OpenEvent* event = Find(receipt.boot, refused.seq);
    if (event == nullptr || event->closed) continue;
    change.refused.emplace_back(*event, refused.reason);
    CloseAt(LowerBound(receipt.boot, refused.seq));
  }
  Trim();
  return change;
}

bool OpenEvents::CloseOne(uint64_t boot, uint64_t seq) {
  if (Find(boot, seq) == nullptr || !CloseAt(LowerBound(boot, seq))) return false;
  Trim();
  return true;
}

void OpenEvents::Trim() {
  while (!events_.empty() && events_.front().closed) {
    events_.pop_front();
    if (next_ > 0) --next_;
  }
}

}  // namespace sluice::sim
