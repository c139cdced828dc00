// All devices that the gateway knows, bounded.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "gateway/intake/device.h"

namespace sluice::intake {

struct DeviceInfo {
  std::string id;
  std::string source;
  DeviceFigures figures;
};

// Thread-safe. Names cost an attacker nothing, so the table forgets: beyond `max_devices` the twentieth part that was silent
// longest goes, but never a device that somebody holds (an event under way, a receipt owed, a change not saved).
class DeviceTable {
 public:
  // `forgotten` is told each id that goes, under the table's lock: must be short, must not call the table.
  DeviceTable(size_t max_devices, std::shared_ptr<Chores> chores, std::function<void(const std::string&)> forgotten);

  std::shared_ptr<Device> Find(const std::string& id) const;
  std::shared_ptr<Device> FindOrAdd(const std::string& id, int64_t now_us);
  std::vector<DeviceInfo> List() const;   // by id
  size_t size() const;

 private:
  void ForgetOldest();

  const size_t max_devices_;
  const std::shared_ptr<Chores> chores_;
  const std::function<void(const std::string&)> forgotten_;

  mutable std::shared_mutex mutex_;
  // Guarded by mutex_.
  absl::flat_hash_map<std::string, std::shared_ptr<Device>> devices_;
};

}  // namespace sluice::intake
