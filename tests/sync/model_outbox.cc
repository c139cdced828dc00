#include "tests/sync/model_outbox.h"

#include <algorithm>
#include <utility>

namespace sluice::sync {

EventId IdOfPayload(std::string_view payload) {
  return EventId::FromBytes(payload.substr(0, 16)).value_or(EventId{});
}

ModelOutbox::ModelOutbox(std::string gateway, std::string shop, Random& random)
    : gateway_(std::move(gateway)), shop_(std::move(shop)), random_(random) {
  BeginEpoch();
}

ModelOutbox::ModelOutbox(const ModelOutbox& other, Random& random)
    : gateway_(other.gateway_), random_(random) {
  const std::lock_guard lock(other.mutex_);
  shop_ = other.shop_;
  running_ = other.running_;
  lines_ = other.lines_;
  acknowledged_ = other.acknowledged_;
  keys_ = other.keys_;
  origins_ = other.origins_;
  for (Line& line : lines_) line = Line{.logs = std::move(line.logs)};
}

void ModelOutbox::BeginEpoch() {
  random_.Fill(running_.id.bytes);
  ++running_.ordinal;
  running_.gateway = gateway_;
  running_.shop = shop_;
  for (Line& line : lines_) line.logs.push_back(Log{.epoch = running_});
}

uint64_t ModelOutbox::Append(Queue queue, std::string payload) {
  std::function<void()> wake;
  uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    Line& line = lines_[QueueIndex(queue)];
    Log& log = line.logs.back();
    number = ++log.last;
    Item item{.epoch = log.epoch.id, .queue = queue, .first = number, .last = number};
    item.id = IdOfPayload(payload);
    item.bytes = std::move(payload);
    keys_[{log.epoch.id, number}] = item.id;
    log.items.emplace(number, std::move(item));
    if (line.armed && line.wake) {
      line.armed = false;
      wake = line.wake;
    }
  }
  if (wake) wake();
  return number;
}

void ModelOutbox::SyncAll() {
  const std::lock_guard lock(mutex_);
  for (Line& line : lines_) line.logs.back().synced = line.logs.back().last;
}

void ModelOutbox::Crash(bool tail_known) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < lines_.size(); ++i) {
    Line& line = lines_[i];
    for (Log& log : line.logs) {
      log.items.erase(log.items.upper_bound(log.synced), log.items.end());
      if (tail_known && log.last > log.synced) {
        log.items.emplace(log.last, Item{.epoch = log.epoch.id,
                                         .queue = kAllQueues[i],
                                         .first = log.synced + 1,
                                         .last = log.last,
                                         .gap = GapReason::kLostTail});
        log.synced = log.last;
      }
      log.last = log.synced;
      // Acknowledgements are durable lazily.
      if (random_.Below(2) == 0) log.acked_durably = std::min(log.acked, log.last);
      log.acked = std::min(log.acked_durably, log.last);
    }
    std::erase_if(line.logs, [](const Log& log) { return log.last == 0; });
    line.armed = true;
  }
  BeginEpoch();
}

void ModelOutbox::Trim(Queue queue, size_t items) {
  const std::lock_guard lock(mutex_);
  for (Log& log : lines_[QueueIndex(queue)].logs) {
    const auto end = log.items.upper_bound(std::min(log.acked, log.synced));
    size_t acked = static_cast<size_t>(std::distance(log.items.begin(), end));
    while (acked > items) {
      // What goes is known to be acknowledged from then on.
      log.acked_durably = std::max(log.acked_durably, log.items.begin()->second.last);
      log.items.erase(log.items.begin());
      --acked;
    }
  }
}

void ModelOutbox::AddForeignEpoch(Queue queue, const std::string& gateway, uint64_t items) {
  const std::lock_guard lock(mutex_);
  Log log{.epoch = running_};
  random_.Fill(log.epoch.id.bytes);
  log.epoch.gateway = gateway;
  for (uint64_t number = 1; number <= items; ++number) {
    log.items.emplace(number, Item{.epoch = log.epoch.id, .queue = queue, .first = number, .last = number, .bytes = "x"});
  }
  log.last = log.synced = items;
  auto& logs = lines_[QueueIndex(queue)].logs;
  logs.insert(logs.begin(), std::move(log));
}

void ModelOutbox::Overwrite(Queue queue, const EpochId& epoch, uint64_t number, std::string payload) {
  const std::lock_guard lock(mutex_);
  Item& item = Find(queue, epoch)->items.at(number);
  item.id = IdOfPayload(payload);
  item.bytes = std::move(payload);
}

void ModelOutbox::Lose(Queue queue, const EpochId& epoch, uint64_t number) {
  const std::lock_guard lock(mutex_);
  Find(queue, epoch)->items.erase(number);
}

Epoch ModelOutbox::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

bool ModelOutbox::Drained(Queue queue) const {
  const std::lock_guard lock(mutex_);
  const auto& logs = lines_[QueueIndex(queue)].logs;
  return std::all_of(logs.begin(), logs.end(),
                     [this](const Log& log) { return log.epoch.gateway != gateway_ || log.acked >= log.last; });
}

bool ModelOutbox::link_up(Queue queue) const {
  const std::lock_guard lock(mutex_);
  return lines_[QueueIndex(queue)].up;
}

bool ModelOutbox::EverAcknowledged(Queue queue, const EpochId& epoch, uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const Log* log = Find(queue, epoch);
  return log == nullptr || number <= log->ever_acked;
}

bool ModelOutbox::EverAcknowledged(const EventId& id) const {
  const std::lock_guard lock(mutex_);
  return acknowledged_.contains(id);
}

bool ModelOutbox::Holds(const EventId& id) const {
  const std::lock_guard lock(mutex_);
  for (const Line& line : lines_) {
    for (const Log& log : line.logs) {
      for (const auto& [last, item] : log.items) {
        if (!item.IsGap() && item.id == id) return true;
      }
    }
  }
  return false;
}

uint64_t ModelOutbox::synced_to(Queue queue) const {
  const std::lock_guard lock(mutex_);
  return lines_[QueueIndex(queue)].logs.back().synced;
}

std::vector<Held> ModelOutbox::HeldEpochs(Queue queue) {
  const std::lock_guard lock(mutex_);
  std::vector<Held> held;
  for (const Log& log : lines_[QueueIndex(queue)].logs) {
    held.push_back(Held{.epoch = log.epoch,
                        .first = log.items.empty() ? 0 : log.items.begin()->second.first,
                        .last = log.last,
                        .acked_to = log.acked});
  }
  return held;
}

Epoch ModelOutbox::RunningEpoch(Queue queue) {
  const std::lock_guard lock(mutex_);
  return lines_[QueueIndex(queue)].logs.back().epoch;
}

absl::Status ModelOutbox::BeginEpoch(const std::string& shop) {
  const std::lock_guard lock(mutex_);
  // Everything of the old one is safe.
  for (Line& line : lines_) line.logs.back().synced = line.logs.back().last;
  shop_ = shop;
  BeginEpoch();
  return absl::OkStatus();
}

absl::Status ModelOutbox::KeyAnew(Queue queue, const EpochId& epoch, uint64_t trusted) {
  if (fail_key_anew_) return absl::ResourceExhaustedError("disk full");
  const std::lock_guard lock(mutex_);
  Line& line = lines_[QueueIndex(queue)];
  for (size_t i = 0; i < line.logs.size(); ++i) {
    Log& log = line.logs[i];
    if (log.epoch.id != epoch) continue;
    const bool running = i + 1 == line.logs.size();
    uint64_t from = std::min(trusted, log.acked) + 1;
    if (from <= log.acked) from = log.items.empty() ? log.acked + 1 : std::clamp(log.items.begin()->second.first, from, log.acked + 1);
    if (!running) {
      Cut(line, i, from);
      return absl::OkStatus();
    }
    for (Line& each : lines_) {
      Log& last = each.logs.back();
      last.synced = last.last;   // an epoch ends safe
      Cut(each, each.logs.size() - 1, &each == &line ? from : last.acked + 1);
    }
    BeginEpoch();
    return absl::OkStatus();
  }
  return absl::NotFoundError("no such epoch");
}

void ModelOutbox::Cut(Line& line, size_t index, uint64_t from) {
  Log& log = line.logs[index];
  const uint64_t before = from - 1;
  Log fresh{.epoch = log.epoch};
  random_.Fill(fresh.epoch.id.bytes);
  origins_[fresh.epoch.id] = {log.epoch.id, before};
  for (auto it = log.items.lower_bound(from); it != log.items.end(); it = log.items.erase(it)) {
    Item item = std::move(it->second);
    item.epoch = fresh.epoch.id;
    item.first = std::max(item.first, from) - before;
    item.last -= before;
    ++keyed_anew_;
    fresh.items.emplace(item.last, std::move(item));
  }
  const auto above = [before](uint64_t number) { return number - std::min(number, before); };
  fresh.last = above(log.last);
  fresh.synced = above(log.synced);
  fresh.ever_acked = above(log.ever_acked);
  log.last = std::min(log.last, before);
  log.synced = std::min(log.synced, before);
  log.acked = std::min(log.acked, before);
  log.acked_durably = std::min(log.acked_durably, before);
  const bool empty = log.last == 0;
  fresh.cut = std::exchange(log.cut, true);
  line.logs.insert(line.logs.begin() + static_cast<ptrdiff_t>(index) + 1, std::move(fresh));
  if (empty) line.logs.erase(line.logs.begin() + static_cast<ptrdiff_t>(index));
}

uint64_t ModelOutbox::Learn(Line& line, Log& log, uint64_t number) {
  if (number > log.last && !log.cut && &log != &line.logs.back()) log.last = log.synced = number;
  return std::min(number, log.last);
}

void ModelOutbox::NoteAcknowledged(const Log& log) {
  for (auto it = log.items.begin(); it != log.items.end() && it->first <= log.acked; ++it) {
    if (!it->second.IsGap()) acknowledged_.insert(it->second.id);
  }
}

absl::Status ModelOutbox::Recover(Queue queue, const std::vector<Floor>& floors) {
  const std::lock_guard lock(mutex_);
  for (const Floor& floor : floors) {
    Log* log = Find(queue, floor.epoch);
    if (log == nullptr) return absl::NotFoundError("no such epoch");
    const uint64_t cursor = Learn(lines_[QueueIndex(queue)], *log, floor.cursor);
    log->acked = log->acked_durably = cursor;
    log->ever_acked = std::max(log->ever_acked, cursor);
    NoteAcknowledged(*log);
    uint64_t next = cursor + 1;
    while (next <= log->last) {
      const auto it = log->items.lower_bound(next);
      const uint64_t held_from = it == log->items.end() ? log->last + 1 : it->second.first;
      if (held_from > next) {
        log->items.emplace(held_from - 1, Item{.epoch = floor.epoch,
                                               .queue = queue,
                                               .first = next,
                                               .last = held_from - 1,
                                               .gap = GapReason::kBeyondReplayWindow});
      }
      next = it == log->items.end() ? log->last + 1 : it->second.last + 1;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Item>> ModelOutbox::Read(Queue queue, const EpochId& epoch, uint64_t from,
                                                    const ReadLimits& limits) {
  if (fail_reads_) return absl::UnavailableError("disk");
  const std::lock_guard lock(mutex_);
  Log* log = Find(queue, epoch);
  if (log == nullptr) return absl::NotFoundError("no such epoch");
  std::vector<Item> items;
  size_t bytes = 0;
  for (auto it = log->items.lower_bound(from); it != log->items.end() && items.size() < limits.max_items; ++it) {
    if (!items.empty() && (bytes + it->second.Cost() > limits.max_bytes || it->second.first != items.back().last + 1)) {
      break;
    }
    bytes += it->second.Cost();
    items.push_back(it->second);
  }
  if (items.empty()) lines_[QueueIndex(queue)].armed = true;
  return items;
}

void ModelOutbox::Acknowledge(Queue queue, const EpochId& epoch, uint64_t through) {
  const std::lock_guard lock(mutex_);
  if (Log* log = Find(queue, epoch)) {
    through = Learn(lines_[QueueIndex(queue)], *log, through);
    log->acked = std::max(log->acked, through);
    log->ever_acked = std::max(log->ever_acked, through);
    NoteAcknowledged(*log);
  }
}

void ModelOutbox::Sent(Queue, const EpochId&, uint64_t, uint64_t) {}

std::optional<EventId> ModelOutbox::IdAt(Queue queue, const EpochId& epoch, uint64_t number) {
  const std::lock_guard lock(mutex_);
  const Log* log = Find(queue, epoch);
  if (log == nullptr) return std::nullopt;
  const auto it = log->items.find(number);
  if (it == log->items.end() || it->second.IsGap()) return std::nullopt;
  return it->second.id;
}

void ModelOutbox::SetWakeup(Queue queue, std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  lines_[QueueIndex(queue)].wake = std::move(wake);
}

void ModelOutbox::LinkUp(Queue queue, bool up) {
  const std::lock_guard lock(mutex_);
  lines_[QueueIndex(queue)].up = up;
}

ModelOutbox::Log* ModelOutbox::Find(Queue queue, const EpochId& epoch) {
  for (Log& log : lines_[QueueIndex(queue)].logs) {
    if (log.epoch.id == epoch) return &log;
  }
  return nullptr;
}

const ModelOutbox::Log* ModelOutbox::Find(Queue queue, const EpochId& epoch) const {
  return const_cast<ModelOutbox*>(this)->Find(queue, epoch);
}

}  // namespace sluice::sync
