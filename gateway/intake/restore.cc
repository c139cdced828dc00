// What the intake keeps from one run to the next: rows of device ranges out, rows and the journal's records in (R11).
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/status.h"
#include "gateway/intake/intake.h"
#include "gateway/intake/snapshot_row.h"

namespace sluice::intake {

std::map<std::string, std::string> Intake::TakeChanged() {
  std::vector<std::shared_ptr<Device>> changed;
  {
    const std::lock_guard lock(chores_->mutex);
    changed.swap(chores_->changed);
  }
  std::map<std::string, std::string> rows;
  {
    const std::lock_guard lock(rows_mutex_);
    rows.swap(rows_);
  }
  for (const auto& device : changed) {
    const std::lock_guard lock(device->mutex);
    device->change_listed = false;
    rows[RowKey(options_.gateway, device->id)] = device->ranges.Encode();
  }
  return rows;
}

void Intake::GiveBack(std::map<std::string, std::string> rows) {
  const std::lock_guard lock(rows_mutex_);
  rows_.merge(rows);   // keeps what is already there: it is newer
}

void Intake::RestoreRejects(std::vector<std::string> rows) {
  std::reverse(rows.begin(), rows.end());
  rejects_.Restore(rows);
}

absl::Status Intake::Restore(const std::map<std::string, std::string>& rows) {
  std::set<EpochId> foreign;   // what another identity of this box accepted is not sent (R14): not ours to remember
  for (const Epoch& epoch : journal_.found().epochs) {
    if (epoch.gateway != options_.gateway) foreign.insert(epoch.id);
  }
  const absl::Status read = journal_.ReadAll([&](Item item) {
    if (!item.IsGap() && !foreign.contains(item.epoch)) RestoreRecord(item);
    return true;
  });
  RETURN_IF_ERROR(WithContext(read, "device ranges from the journal"));
  for (const auto& [key, row] : rows) {
    const std::optional<std::string> id = DeviceOfRow(options_.gateway, key);
    if (!id) continue;
    const auto ranges = DeviceRanges::Decode(row);
    if (!ranges.ok()) {
      counters_.snapshot_errors.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    const std::shared_ptr<Device> device = devices_.FindOrAdd(*id, clock_.MonotonicUs());
    const std::lock_guard lock(device->mutex);
    device->ranges.MergeOlder(*ranges);
    if (device->figures.boot == 0 && !device->ranges.boots().empty()) {
      const auto& newest = device->ranges.boots().front();
      NoteNumber(*device, newest.boot, newest.taken.highest());
    }
  }
  return absl::OkStatus();
}

void Intake::RestoreRecord(const Item& item) {
  thread_local event::v1::DeviceEvent event;
  if (!event.ParseFromString(item.bytes)) {
    counters_.unreadable_records.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (event.boot_id() == clock_watch_.boot_id().View()) clock_watch_.SawEarlier(event.clock_state());
  if (event.has_clock_fix()) return;
  const std::shared_ptr<Device> device = devices_.FindOrAdd(event.device_id(), clock_.MonotonicUs());
  const std::lock_guard lock(device->mutex);
  device->figures.last_seen_ms = event.received_time_ms();
  NoteState(device->figures, event);
  if (event.has_sequence()) {
    const uint64_t boot = event.sequence().boot(), seq = event.sequence().seq();
    device->ranges.MarkTaken(boot, seq);
    device->ranges.MarkSafe(boot, seq);
    NoteNumber(*device, boot, seq);
    NoteChange(device);
  } else if (!event.message_id().empty()) {
    device->ids.MarkSafe(item.id);
  }
}

}  // namespace sluice::intake
