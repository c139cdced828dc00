// What the uplink sees: the keys that items are sent under, put in place of those that they are stored under (sent_as.h).
#include <algorithm>
#include <iterator>
#include <map>

#include "base/status.h"
#include "gateway/outbox/outbox_impl.h"

namespace sluice::outbox {

OutboxImpl::SentStream OutboxImpl::FindSent(Queue queue, const EpochId& epoch) const {
  const auto& streams = queues_[QueueIndex(queue)].streams;
  // The running one first: nearly all calls are for it.
  for (auto it = streams.rbegin(); it != streams.rend(); ++it) {
    if (const auto part = (*it)->sent_as.Find(epoch)) return {it->get(), *part};
  }
  return {};
}

uint64_t OutboxImpl::FirstHeld(const Stream& stream) const {
  if (!stream.ranges.empty()) return stream.ranges.front().first;
  return stream.memory.empty() ? 0 : stream.memory.front().item.first;
}

std::vector<sync::Held> OutboxImpl::HeldEpochs(Queue queue) {
  struct Stored {
    Epoch epoch;
    std::vector<SentPart> parts;
    uint64_t first, last, acked_to;
  };
  std::vector<Stored> streams;
  {
    Lock lock(mu_);
    for (const auto& stream : queues_[QueueIndex(queue)].streams) {
      streams.push_back({stream->epoch, stream->sent_as.parts(), FirstHeld(*stream), stream->last, stream->acked_to});
    }
  }
  std::vector<sync::Held> held;
  for (Stored& stream : streams) {
    const uint64_t journalled = journal_.Holds(stream.epoch.id, queue).first;
    if (journalled != 0) stream.first = stream.first == 0 ? journalled : std::min(stream.first, journalled);
    for (const SentPart& part : stream.parts) {
      const bool running = &stream == &streams.back() && &part == &stream.parts.back();
      const uint64_t last = std::min(part.last, stream.last);
      if (last < part.first && !running) continue;  // no number was ever taken
      sync::Held& entry = held.emplace_back();
      entry.epoch = stream.epoch;
      entry.epoch.id = part.epoch;
      if (last < part.first) continue;
      entry.last = part.ToSent(last);
      if (stream.acked_to >= part.first) entry.acked_to = part.ToSent(std::min(stream.acked_to, part.last));
      if (stream.first != 0 && stream.first <= last) entry.first = part.ToSent(std::max(stream.first, part.first));
      // Numbers that exist and are nowhere: still pending, as a gap.
      if (entry.first == 0 && entry.last > entry.acked_to) entry.first = entry.acked_to + 1;
    }
  }
  return held;
}

Epoch OutboxImpl::RunningEpoch(Queue queue) {
  Lock lock(mu_);
  const Stream& running = Running(queue);
  Epoch epoch = running.epoch;
  epoch.id = running.sent_as.parts().back().epoch;
  return epoch;
}

absl::StatusOr<std::vector<Item>> OutboxImpl::Read(Queue queue, const EpochId& epoch, uint64_t from,
                                                   const sync::ReadLimits& limits) {
  if (from == 0) return absl::InvalidArgumentError("numbers begin with 1");
  EpochId stored;
  SentPart part;
  {
    Lock lock(mu_);
    const SentStream found = FindSent(queue, epoch);
    if (found.stream == nullptr || found.part.ToStored(from) > found.part.last) {
      queues_[QueueIndex(queue)].armed = true;
      return std::vector<Item>();
    }
    stored = found.stream->epoch.id;
    part = found.part;
  }
  ASSIGN_OR_RETURN(std::vector<Item> items, ReadStored(queue, stored, part.ToStored(from), part.last, limits));
  for (Item& item : items) {
    item.epoch = epoch;
    // A gap may reach over either end of the part.
    item.first = part.ToSent(std::max(item.first, part.first));
    item.last = part.ToSent(std::min(item.last, part.last));
  }
  return items;
}

void OutboxImpl::Acknowledge(Queue queue, const EpochId& epoch, uint64_t through) {
  EpochId stored;
  uint64_t number;
  {
    Lock lock(mu_);
    const SentStream found = FindSent(queue, epoch);
    if (found.stream == nullptr) return;
    stored = found.stream->epoch.id;
    // What the cloud has above the end of a part that was cut off is another box's.
    number = std::min(found.part.ToStored(through), found.part.last);
  }
  AcknowledgeStored(queue, stored, number);
}

void OutboxImpl::Sent(Queue queue, const EpochId& epoch, uint64_t first, uint64_t last) {
  Lock lock(mu_);
  const SentStream found = FindSent(queue, epoch);
  if (found.stream == nullptr) return;
  NoteTime(queues_[QueueIndex(queue)], found.stream->id, kSent, found.part.ToStored(first), found.part.ToStored(last));
}

std::optional<EventId> OutboxImpl::IdAt(Queue queue, const EpochId& epoch, uint64_t number) {
  Stream key;
  uint64_t stored;
  {
    Lock lock(mu_);
    const SentStream found = FindSent(queue, epoch);
    if (found.stream == nullptr || number == 0) return std::nullopt;
    const Stream& stream = *found.stream;
    stored = found.part.ToStored(number);
    if (stored > std::min(found.part.last, stream.last)) return std::nullopt;
    if (stream.InMemory(stored)) return stream.memory[stored - stream.memory.front().item.first].item.id;
    key.id = stream.id;
    key.epoch = stream.epoch;
    key.queue = queue;
  }
  std::optional<EventId> id;
  bool row = false;
  // A gap lies under its last number. What it covers is lost, though the journal may still have it.
  store_
      ->ReadItems(key, stored, kHighestNumber,
                  [&](Item item) {
                    row = item.first <= stored;
                    if (row && !item.IsGap()) id = item.id;
                    return false;
                  })
      .IgnoreError();
  if (row) return id;
  journal_
      .Read(key.epoch.id, queue, stored, stored,
            [&](Item item) {
              id = item.id;
              return false;
            })
      .IgnoreError();
  return id;
}

absl::Status OutboxImpl::Recover(Queue queue, const std::vector<sync::Floor>& floors) {
  std::map<EpochId, uint64_t> cursors;
  for (const sync::Floor& floor : floors) cursors[floor.epoch] = floor.cursor;
  return OnWriter([&]() -> absl::Status {
    // An epoch that the cloud remembers and we do not: nothing of it is held.
    std::vector<std::pair<Stream*, uint64_t>> recovered;
    {
      Lock lock(mu_);
      for (const auto& stream : queues_[QueueIndex(queue)].streams) {
        bool named = false;
        uint64_t cursor = 0;
        for (const SentPart& part : stream->sent_as.parts()) {
          const auto floor = cursors.find(part.epoch);
          named |= floor != cursors.end();
          if (floor != cursors.end()) {
            cursor = std::min(part.ToStored(floor->second), part.last);
          } else {
            cursor = std::clamp(stream->acked_to, part.first - 1, part.last);
          }
          if (cursor < part.last) break;  // what comes behind it is pending, whatever the cloud has of it
        }
        if (named) recovered.emplace_back(stream.get(), cursor);
      }
    }
    for (const auto& [stream, cursor] : recovered) RETURN_IF_ERROR(RecoverStream(*stream, cursor));
    return absl::OkStatus();
  });
}

}  // namespace sluice::outbox
