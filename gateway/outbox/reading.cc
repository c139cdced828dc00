// Reading by stored number: memory, else the database, else the journal (delivery rule R6); a hole becomes a gap on the way.
#include <algorithm>

#include "base/status.h"
#include "gateway/outbox/outbox_impl.h"

namespace sluice::outbox {

OutboxImpl::Source OutboxImpl::FindSource(Queue queue, const EpochId& epoch, uint64_t from, uint64_t through,
                                          const sync::ReadLimits& limits, std::vector<Item>* out) {
  Lock lock(mu_);
  Source source;
  const Stream* found = FindStream(queue, epoch);
  if (found == nullptr || from > found->last) {
    queues_[QueueIndex(queue)].armed = true;
    return source;
  }
  const Stream& stream = *found;
  source.renewals = renewals_;
  source.key.id = stream.id;
  source.key.epoch = stream.epoch;
  source.key.queue = queue;
  if (stream.InMemory(from)) {
    source.kind = Source::kMemory;
    size_t bytes = 0;
    for (size_t at = from - stream.memory.front().item.first; at < stream.memory.size(); ++at) {
      const Item& item = stream.memory[at].item;
      if (item.last > through) break;
      bytes += item.bytes.size();
      if (!out->empty() && (out->size() >= limits.max_items || bytes > limits.max_bytes)) break;
      out->push_back(item);
    }
    return source;
  }
  // What was acknowledged before it was stored may lie in either.
  const uint64_t stored_to = std::max(stream.stored_to, std::min(stream.acked_to, stream.last));
  const bool stored = from <= stored_to;
  source.kind = stored ? Source::kStore : Source::kJournal;
  source.through = stored ? stored_to : stream.last;
  if (!stored && !stream.memory.empty() && from < stream.memory.front().item.first) {
    source.through = stream.memory.front().item.first - 1;
  }
  source.through = std::min(source.through, through);
  return source;
}

absl::StatusOr<std::vector<Item>> OutboxImpl::ReadStored(Queue queue, const EpochId& epoch, uint64_t from,
                                                         uint64_t through, const sync::ReadLimits& limits) {
  // Each round either answers or closes a hole for good; items may also move from one place to the next meanwhile.
  for (int round = 0; round < 8; ++round) {
    std::vector<Item> out;
    const Source source = FindSource(queue, epoch, from, through, limits, &out);
    if (source.kind == Source::kNothing || source.kind == Source::kMemory) return out;
    uint64_t next = from, beyond = 0;
    size_t bytes = 0;
    const auto take = [&](Item item) {
      if (item.last < next) return true;
      if (item.first > next) {
        beyond = item.first;
        return false;
      }
      bytes += item.bytes.size();
      if (!out.empty() && (out.size() >= limits.max_items || bytes > limits.max_bytes)) return false;
      next = item.last + 1;
      out.push_back(std::move(item));
      return next <= source.through;
    };
    if (source.kind == Source::kStore) {
      // A gap lies under its last number, so a read from the middle of one finds it.
      const absl::Status read = store_->ReadItems(source.key, from, source.through, take);
      if (absl::IsDataLoss(read) && (out.empty() || store_->is_open())) {
        RETURN_IF_ERROR(RenewUnlessDone(source.renewals));
        continue;
      }
      if (!absl::IsDataLoss(read)) RETURN_IF_ERROR(read);
      if (out.empty()) {
        const uint64_t before = beyond != 0 ? beyond - 1 : source.through;
        beyond = 0;
        // Acknowledged before it was stored, and wanted again: the journal may still have it.
        RETURN_IF_ERROR(journal_.Read(epoch, queue, from, before, take));
        if (out.empty()) RETURN_IF_ERROR(CloseHole(queue, epoch, from, beyond != 0 ? beyond - 1 : before, true, &out));
      }
    } else {
      RETURN_IF_ERROR(journal_.Read(epoch, queue, from, source.through, take));
      const uint64_t to = beyond != 0 ? beyond - 1 : source.through;
      if (out.empty()) RETURN_IF_ERROR(CloseHole(queue, epoch, from, to, false, &out));
    }
    if (!out.empty()) return out;
  }
  return absl::InternalError("an item that is nowhere and cannot be declared a gap");
}

GapReason OutboxImpl::ReasonOfHole(const Stream& stream, uint64_t from, uint64_t to) const {
  // What was acknowledged once is gone by policy; what never was is damage, at the end of a run perhaps less than it looks.
  if (to <= stream.acked_high) return GapReason::kBeyondReplayWindow;
  const bool tail = from > stream.stored_to && to == stream.last && &stream != &Running(stream.queue);
  return tail ? GapReason::kLostTail : GapReason::kCorrupt;
}

absl::Status OutboxImpl::CloseHole(Queue queue, const EpochId& epoch, uint64_t from, uint64_t to, bool in_store,
                                   std::vector<Item>* out) {
  bool searched = false;   // everywhere: it is a hole
  Item gap;
  gap.epoch = epoch;
  gap.queue = queue;
  gap.first = from;
  gap.last = to;
  const absl::Status closed = OnWriter([&, this]() -> absl::Status {
    Stream* stream;
    bool salvage_later;
    {
      Lock lock(mu_);
      stream = FindStream(queue, epoch);
      if (stream == nullptr) return absl::NotFoundError("this epoch is not held any more");
      gap.gap = ReasonOfHole(*stream, from, to);
      salvage_later = holes_may_be_salvaged_;
    }
    // What is not salvaged yet is no hole. Without a database all that can be read was read, if there is one file of it.
    const absl::Status ready = EnsureStore();
    searched = !store_->is_open() && !salvage_later;
    RETURN_IF_ERROR(ready);
    if (in_store) {
      // It may have come or gone since the reader looked.
      bool there = false;
      RETURN_IF_ERROR(store_->ReadItems(*stream, from, to, [&](Item item) {
        there = item.first <= from;
        return false;
      }));
      searched = !there;
      return there ? absl::OkStatus() : InsertGap(*stream, from, to, gap.gap);
    }
    searched = true;
    // Storing finds the hole, and declares it.
    for (uint64_t before = 0;;) {
      std::vector<Spill> spills;
      {
        Lock lock(mu_);
        const uint64_t next = stream->NextToStore();
        if (next > from) return absl::OkStatus();
        if (next == before) return absl::ResourceExhaustedError("no room to declare a gap");
        before = next;
        Spill spill{.stream = stream, .from = next, .through = to, .from_journal = true};
        spills.push_back(std::move(spill));
      }
      RETURN_IF_ERROR(SpillSome(std::move(spills)));
    }
  });
  if (!absl::IsResourceExhausted(closed) || !searched) return closed;
  // There is no room to write it down. The cloud is told all the same: nothing is let go for that before it has taken it,
  // and what waits behind need not wait for the disk.
  out->push_back(std::move(gap));
  return absl::OkStatus();
}

absl::StatusOr<History> OutboxImpl::Find(const EventId& id) {
  std::optional<Item> found;
  std::vector<Stream> keys;
  {
    Lock lock(mu_);
    for (const QueueState& state : queues_) {
      for (const auto& stream : state.streams) {
        for (const Entry& entry : stream->memory) {
          if (entry.item.id == id) found = entry.item;
        }
        if (stream->ranges.empty()) continue;
        keys.emplace_back(stream->epoch, stream->queue).id = stream->id;
      }
    }
  }
  const auto look = [&](Item item) {
    if (item.id == id && !item.IsGap()) found = std::move(item);
    return !found.has_value();
  };
  History history;
  // No index on the id: it would cost each stored event a page. A person waits for the scan.
  for (size_t i = 0; i < keys.size() && !found; ++i) {
    RETURN_IF_ERROR(store_->ReadItems(keys[i], 0, kHighestNumber, look));
  }
  if (!found) RETURN_IF_ERROR(journal_.ReadAll(look));
  if (!found) return absl::NotFoundError("nothing is held of this event");
  history.item = *std::move(found);
  history.journalled_ms = history.item.accepted_ms;
  const uint64_t number = history.item.last;
  if (history.item.epoch == journal_.epoch().id) history.synced_ms = journal_.SyncedAtMs(history.item.queue, number);
  std::vector<TimeRow> times = store_->ReadTimes().value_or(std::vector<TimeRow>());
  Lock lock(mu_);
  const Stream* stream = FindStream(history.item.queue, history.item.epoch);
  if (stream == nullptr) return history;
  const QueueState& state = queues_[QueueIndex(history.item.queue)];
  times.insert(times.end(), state.times.begin(), state.times.end());
  for (const TimeRow& row : times) {
    if (row.stream != stream->id || number < row.first || number > row.last) continue;
    (row.kind == 1 ? history.sent_ms : history.acknowledged_ms) = row.at_ms;
  }
  if (history.sent_ms != 0) history.sent_ms = std::max(history.sent_ms, history.journalled_ms);
  for (const StoredRange& range : stream->ranges) {
    if (range.first > number || number > range.last) continue;
    history.stored = true;
    history.stored_ms = range.stored_ms;
  }
  history.acknowledged = number <= stream->acked_to;
  // For people, and for whoever looks for it in the cloud: the key it is sent under.
  const SentPart& part = stream->sent_as.Of(number);
  history.item.epoch = part.epoch;
  history.item.first = history.item.last = part.ToSent(number);
  return history;
}

}  // namespace sluice::outbox
