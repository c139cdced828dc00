#include "tests/judge/tally.h"

#include <algorithm>
#include <limits>

#include "tests/judge/order.h"

namespace sluice::judge {
namespace {

// By all types that the kind is told as.
bool IsToldWhole(const Record& record, Types told) {
  const Telling telling = TellingOf(record.kind, record.detail);
  return (told & telling.all) == telling.all && (telling.one == 0 || (told & telling.one) != 0);
}

void Increase(uint8_t& count) {
  if (count < std::numeric_limits<uint8_t>::max()) ++count;
}

}  // namespace

uint32_t Tally::IndexOf(std::string_view device) {
  if (const auto found = index_.find(device); found != index_.end()) return found->second;
  const auto index = static_cast<uint32_t>(devices_.size());
  index_.emplace(std::string(device), index);
  devices_.push_back({.name = std::string(device)});
  return index;
}

void Tally::Sent(std::string_view device, uint64_t boot, uint64_t seq, Kind kind, Detail detail) {
  Device& source = DeviceAt(device);
  source.in_ledger = true;
  source.boots[boot].Sent(seq, kind, detail, source.sendings++);
}

void Tally::SourceDevice(std::string_view device, std::string_view transport) {
  Device& source = DeviceAt(device);
  source.in_ledger = true;
  source.on_listener = transport == "listener";
}

void Tally::Puback(std::string_view device, uint64_t boot, uint64_t seq) {
  Device& source = DeviceAt(device);
  source.boots[boot].At(seq).puback = true;
  if (source.on_listener) Answered(source, boot, {{seq, seq}});
}

void Tally::Answered(Device& source, uint64_t boot, const std::vector<std::pair<uint64_t, uint64_t>>& ranges) {
  const uint64_t never_sent = source.boots[boot].Answer(ranges);
  if (never_sent == 0) return;
  notes.named_unsent += never_sent;
  notes.faults.push_back("an answer to " + source.name + " boot " + std::to_string(boot) + " names " +
                         std::to_string(never_sent) + " numbers that were never sent");
}

void Tally::Unheard(std::string_view device, uint64_t boot, uint64_t seq) { DeviceAt(device).boots[boot].Unheard(seq); }

void Tally::Receipt(std::string_view device, uint64_t boot, const std::vector<std::pair<uint64_t, uint64_t>>& ranges) {
  Answered(DeviceAt(device), boot, ranges);
}

void Tally::Refused(std::string_view device, uint64_t boot, uint64_t seq) { At(device, boot, seq).refused = true; }

void Tally::Effect(std::string_view device, uint64_t boot, uint64_t seq, Kind kind, Queue queue, int64_t position) {
  const uint32_t index = IndexOf(device);
  Record& record = devices_[index].boots[boot].At(seq);
  if (record.kind == Kind::kUnknown) record.kind = kind;
  Increase(record.effects);
  effects_.push_back({.device = index, .queue = queue, .kind = kind, .boot = boot, .seq = seq, .position = position});
}

void Tally::Event(std::string_view type, std::string_view event_id, std::string_view device, uint64_t boot, uint64_t seq,
                  Kind kind) {
  auto found = types_.find(type);
  if (found == types_.end()) found = types_.emplace(std::string(type), static_cast<uint16_t>(types_.size())).first;
  const uint32_t index = IndexOf(device);
  const Record& record = devices_[index].boots[boot].At(seq);
  const Queue queue = QueueOf(record.kind != Kind::kUnknown ? record.kind : kind);
  events_.push_back({.device = index, .queue = queue, .kind = kind, .type = found->second, .boot = boot, .seq = seq,
                     .position = static_cast<int64_t>(events_.size()), .id = std::hash<std::string_view>()(event_id)});
}

namespace {

std::string Label(const Device& device, uint64_t boot, uint64_t seq) {
  return device.name + " boot " + std::to_string(boot) + " seq " + std::to_string(seq);
}

}  // namespace

void Tally::CheckWhatWasSent(Verdict& v, const Fault& fault) const {
  std::vector<Types> bits(types_.size());
  for (const auto& [name, index] : types_) bits[index] = TypeOf(name);
  const auto check = [&](const Sighting& one, const char* where) -> const Record* {
    const Device& device = devices_[one.device];
    const Record* record = device.boots.at(one.boot).Find(one.seq);
    const std::string label = std::string(NameOf(one.kind)) + " " + Label(device, one.boot, one.seq) + where;
    if (!device.in_ledger) {
      ++v.foreign;
      fault("of a device that no ledger knows: " + label);
    } else if (!record->sent) {
      ++v.unsent;
      fault("never sent: " + label);
    } else if (record->kind != one.kind) {
      ++v.wrong_kinds;
      fault("was sent as " + std::string(NameOf(record->kind)) + ": " + label);
    }
    return record;
  };
  for (const Sighting& effect : effects_) check(effect, " in the store");
  for (const Sighting& event : events_) {
    const Record* record = check(event, " on the bus");
    const Telling telling = record->sent ? TellingOf(record->kind, record->detail) : TellingOf(event.kind, kNotTold);
    if ((bits[event.type] & (telling.all | telling.one)) != 0) continue;
    ++v.wrong_types;
    fault("told on the bus as what it is not: " + std::string(NameOf(event.kind)) + " " +
          Label(devices_[event.device], event.boot, event.seq));
  }
}

void Tally::CheckIds(Verdict& v, const Fault& fault) const {
  std::vector<const Sighting*> events;
  for (const Sighting& event : events_) events.push_back(&event);
  const auto what = [](const Sighting* one) { return std::tie(one->device, one->boot, one->seq, one->type); };
  std::sort(events.begin(), events.end(), [&](const Sighting* a, const Sighting* b) {
    return a->id != b->id ? a->id < b->id : what(a) < what(b);
  });
  for (size_t i = 1; i < events.size(); ++i) {
    if (events[i]->id != events[i - 1]->id || what(events[i]) == what(events[i - 1])) continue;
    ++v.shared_ids;
    fault("on the bus under the id of another: " + Label(devices_[events[i]->device], events[i]->boot, events[i]->seq));
  }
}

void Tally::CheckStock(Verdict& v, const Fault& fault) const {
  v.wrong_stock += stock.Check(
      [this](const Movement& movement) {
        const auto device = index_.find(movement.device);
        if (!movement.numbered || device == index_.end()) return kNotTold;
        const auto boot = devices_[device->second].boots.find(movement.boot);
        const Record* record = boot == devices_[device->second].boots.end() ? nullptr : boot->second.Find(movement.seq);
        return record == nullptr || record->kind != movement.kind ? kNotTold : record->detail;
      },
      fault);
}

Verdict Tally::Judge(size_t show) const {
  Verdict v = notes;
  const auto fault = [&v, show](const std::string& what) {
    if (v.faults.size() < show) v.faults.push_back(what);
  };
  if (v.faults.size() > show) v.faults.resize(show);
  v.effects = effects_.size();
  v.events = events_.size();

  // A second eventId for the same (type, event) is a second effect; the same eventId again is a redelivery.
  std::vector<Sighting> events = events_;
  std::sort(events.begin(), events.end(), [](const Sighting& a, const Sighting& b) {
    return std::tie(a.device, a.boot, a.seq, a.type, a.position) < std::tie(b.device, b.boot, b.seq, b.type, b.position);
  });
  std::vector<uint64_t> ids;
  std::vector<Types> bits(types_.size());
  for (const auto& [name, index] : types_) bits[index] = TypeOf(name);
  struct Told {
    uint32_t device;
    uint64_t boot, seq;
    Types types;
  };
  std::vector<Told> told;   // sorted like the walk below
  for (size_t i = 0; i < events.size(); ++i) {
    const Sighting& event = events[i];
    const bool same = i > 0 && std::tie(events[i - 1].device, events[i - 1].boot, events[i - 1].seq, events[i - 1].type) ==
                                   std::tie(event.device, event.boot, event.seq, event.type);
    if (told.empty() || std::tie(told.back().device, told.back().boot, told.back().seq) !=
                            std::tie(event.device, event.boot, event.seq)) {
      told.push_back({.device = event.device, .boot = event.boot, .seq = event.seq, .types = 0});
    }
    told.back().types |= bits[event.type];
    if (!same) ids.clear();
    if (std::find(ids.begin(), ids.end(), event.id) != ids.end()) {
      ++v.redelivered;
      continue;
    }
    ids.push_back(event.id);
    if (ids.size() == 1) continue;
    ++v.duplicates_bus;
    fault("on the bus under two ids: " + Label(devices_[event.device], event.boot, event.seq));
  }

  const OrderCheck order(devices_);
  const auto check_order = [&](std::vector<Sighting> sightings, const char* where, uint64_t& breaks) {
    const OrderCheck::Result result = order.Run(std::move(sightings), [&](const Sighting& low) {
      fault(std::string("out of order ") + where + ": " + Label(devices_[low.device], low.boot, low.seq));
    });
    breaks += result.breaks;
    v.late += result.late;
  };
  check_order(FirstOfEach(effects_), "in the store", v.order_breaks_store);
  check_order(FirstOfEach(std::move(events)), "on the bus", v.order_breaks_bus);

  for (const Sighting& effect : effects_) {
    const Record* record = devices_[effect.device].boots.at(effect.boot).Find(effect.seq);
    const Queue expected = QueueOf(record->kind);
    if (effect.queue == expected || expected == Queue::kUnknown) continue;
    ++v.misplaced;
    fault("effect in queue " + std::string(NameOf(effect.queue)) + ": " + std::string(NameOf(record->kind)) + " " +
          Label(devices_[effect.device], effect.boot, effect.seq));
  }

  CheckWhatWasSent(v, fault);
  CheckIds(v, fault);
  CheckStock(v, fault);

  size_t at = 0;  // in told
  for (uint32_t index = 0; index < devices_.size(); ++index) {
    const Device& device = devices_[index];
    if (device.in_ledger) ++v.devices;
    for (const auto& [boot, numbers] : device.boots) {
      numbers.ForEach([&](uint64_t seq, const Record& record) {
        while (at < told.size() && std::tie(told[at].device, told[at].boot, told[at].seq) < std::tie(index, boot, seq)) {
          ++at;
        }
        const bool on_bus = at < told.size() && told[at].device == index && told[at].boot == boot &&
                            told[at].seq == seq && IsToldWhole(record, told[at].types);
        v.sent += record.sent;
        v.puback += record.puback;
        v.refused += record.refused;
        if (record.effects > 1) {
          v.duplicates_store += record.effects - 1U;
          fault("more than one effect: " + Label(device, boot, seq));
        }
        if (!record.named) {
          if (record.sent && !record.refused && record.effects == 0) {
            ++(record.puback ? v.lost_in_broker : v.open);
          }
          return;
        }
        ++v.accepted;
        if (record.effects > 0) ++v.applied;
        if (record.effects > 0 && on_bus) return;
        ++v.missing;
        ++v.missing_by_kind[std::string(NameOf(record.kind))];
        if (record.effects == 0) ++v.missing_effects;
        if (!on_bus) ++v.missing_events;
        fault((record.effects == 0 ? "accepted, but without effect: " : "has an effect, but is not (wholly) on the bus: ") +
              std::string(NameOf(record.kind)) + " " + Label(device, boot, seq));
      });
    }
  }
  v.unexplained = v.missing_effects - std::min(v.missing_effects, v.declared_lost);
  v.duplicates = v.duplicates_store + v.duplicates_bus;
  v.order_breaks = v.order_breaks_store + v.order_breaks_bus;
  return v;
}

std::string Verdict::ToJson() const {
  std::string out = "{";
  const auto member = [&out](const char* name, uint64_t value) {
    if (out.size() > 1) out += ',';
    out += '"';
    out += name;
    out += "\":";
    out += std::to_string(value);
  };
  member("devices", devices);
  member("accepted", accepted);
  member("applied", applied);
  member("duplicates", duplicates);
  member("missing", missing);
  member("order_breaks", order_breaks);
  member("late", late);
  member("redelivered", redelivered);
  member("lost_in_broker", lost_in_broker);
  member("refused", refused);
  member("sent", sent);
  member("puback", puback);
  member("open", open);
  member("effects", effects);
  member("events", events);
  member("duplicates_store", duplicates_store);
  member("duplicates_bus", duplicates_bus);
  member("missing_effects", missing_effects);
  member("missing_events", missing_events);
  member("order_breaks_store", order_breaks_store);
  member("order_breaks_bus", order_breaks_bus);
  member("named_unsent", named_unsent);
  member("misplaced", misplaced);
  member("wrong_kinds", wrong_kinds);
  member("wrong_types", wrong_types);
  member("shared_ids", shared_ids);
  member("unsent", unsent);
  member("wrong_stock", wrong_stock);
  member("unnumbered", unnumbered);
  member("foreign", foreign);
  member("dead_letters", dead_letters);
  member("declared_lost", declared_lost);
  member("unexplained", unexplained);
  member("torn_lines", torn_lines);
  out += ",\"missing_by_kind\":{";
  bool first = true;
  for (const auto& [kind, count] : missing_by_kind) {
    if (!first) out += ',';
    first = false;
    out += "\"" + kind + "\":" + std::to_string(count);
  }
  out += "}}";
  return out;
}

}  // namespace sluice::judge
