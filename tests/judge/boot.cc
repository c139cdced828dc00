#include "tests/judge/boot.h"

#include <algorithm>

namespace sluice::judge {
namespace {

// A number this far beyond the highest so far is kept apart, so that a wild one cannot eat the memory.
constexpr uint64_t kStride = 1 << 20;

}  // namespace

Record& Boot::At(uint64_t seq) {
  if (seq < dense_.size()) return dense_[seq];
  if (!sparse_.empty()) {
    if (const auto found = sparse_.find(seq); found != sparse_.end()) return found->second;
  }
  if (seq - dense_.size() > kStride) return sparse_[seq];
  const size_t before = dense_.size();
  dense_.resize(std::max<size_t>(seq + 1, before + before / 2));
  // What was far away may lie inside now.
  while (!sparse_.empty() && sparse_.begin()->first < dense_.size()) {
    dense_[sparse_.begin()->first] = sparse_.begin()->second;
    sparse_.erase(sparse_.begin());
  }
  return dense_[seq];
}

const Record* Boot::Find(uint64_t seq) const {
  if (seq < dense_.size()) return &dense_[seq];
  const auto found = sparse_.find(seq);
  return found == sparse_.end() ? nullptr : &found->second;
}

std::vector<Boot::Sending>& Boot::SendingsOf(uint64_t seq, const Record& record) {
  std::vector<Sending>& sendings = sendings_[seq];
  if (sendings.empty()) sendings.push_back({.at = record.arrival});
  return sendings;
}

void Boot::Sent(uint64_t seq, Kind kind, Detail detail, uint32_t sending) {
  Record& record = At(seq);
  if (!record.sent) {
    record.sent = true;
    record.kind = kind;
    record.detail = detail;
    record.arrival = sending;
  } else if (!record.named) {
    SendingsOf(seq, record).push_back({.at = sending});
  }
}

void Boot::Unheard(uint64_t seq) {
  const Record& record = At(seq);
  if (record.sent && !record.named) SendingsOf(seq, record).back().unheard = true;
}

uint32_t Boot::Arrival(uint64_t seq) const {
  const Record& record = *Find(seq);
  if (!record.sent || record.named) return record.arrival;
  const uint32_t overtaken = overtaken_[static_cast<size_t>(QueueOf(record.kind))];
  const auto found = sendings_.find(seq);
  if (found == sendings_.end()) return std::max(record.arrival, overtaken);
  const auto& sendings = found->second;
  const auto later = std::find_if(sendings.begin(), sendings.end(), [&](const Sending& one) { return one.at >= overtaken; });
  const auto heard = std::find_if(later, sendings.end(), [](const Sending& one) { return !one.unheard; });
  if (heard != sendings.end()) return heard->at;
  // Taken although the broker says that it reached nobody: the broker's word is worth nothing here.
  return later != sendings.end() ? later->at : overtaken;
}

uint64_t Boot::Answer(const std::vector<std::pair<uint64_t, uint64_t>>& ranges) {
  Overtaken overtaken = overtaken_;
  uint64_t never_sent = 0;
  for (const auto& [first, last] : ranges) never_sent += Name(first, last, overtaken);
  // Only now: one answer does not tell in which order its numbers came.
  overtaken_ = overtaken;
  return never_sent;
}

uint64_t Boot::NameNew(uint64_t first, uint64_t last, Overtaken& overtaken) {
  uint64_t sent = 0;
  const auto name = [&](uint64_t seq, Record& record) {
    if (!record.sent) return;
    ++sent;
    record.arrival = Arrival(seq);
    record.named = true;
    sendings_.erase(seq);
    uint32_t& latest = overtaken[static_cast<size_t>(QueueOf(record.kind))];
    latest = std::max(latest, record.arrival);
  };
  for (uint64_t seq = first; seq < dense_.size() && seq <= last; ++seq) name(seq, dense_[seq]);
  for (auto it = sparse_.lower_bound(first); it != sparse_.end() && it->first <= last; ++it) name(it->first, it->second);
  return last - first + 1 - sent;
}

uint64_t Boot::Name(uint64_t first, uint64_t last, Overtaken& overtaken) {
  uint64_t never_sent = 0;
  uint64_t at = first;
  uint64_t merged_first = first;
  uint64_t merged_last = last;
  auto it = named_.upper_bound(first);
  if (it != named_.begin() && std::prev(it)->second >= first) --it;
  while (it != named_.end() && it->first <= last) {
    if (at < it->first) never_sent += NameNew(at, it->first - 1, overtaken);
    merged_first = std::min(merged_first, it->first);
    merged_last = std::max(merged_last, it->second);
    at = it->second + 1;
    const bool end_of_numbers = it->second == UINT64_MAX;
    it = named_.erase(it);
    if (end_of_numbers) {
      named_[merged_first] = merged_last;
      return never_sent;
    }
  }
  if (at <= last) never_sent += NameNew(at, last, overtaken);
  named_[merged_first] = merged_last;
  return never_sent;
}

}  // namespace sluice::judge
