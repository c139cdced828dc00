#include "gateway/intake/device_table.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace sluice::intake {

DeviceTable::DeviceTable(size_t max_devices, std::shared_ptr<Chores> chores,
                         std::function<void(const std::string&)> forgotten)
    : max_devices_(max_devices), chores_(std::move(chores)), forgotten_(std::move(forgotten)) {}

std::shared_ptr<Device> DeviceTable::Find(const std::string& id) const {
  const std::shared_lock lock(mutex_);
  const auto at = devices_.find(id);
  return at == devices_.end() ? nullptr : at->second;
}

std::shared_ptr<Device> DeviceTable::FindOrAdd(const std::string& id, int64_t now_us) {
  std::shared_ptr<Device> device = Find(id);
  if (device == nullptr) {
    const std::lock_guard lock(mutex_);
    auto& slot = devices_[id];
    if (slot == nullptr) slot = std::make_shared<Device>(id, chores_);
    device = slot;
    if (devices_.size() > max_devices_) ForgetOldest();
  }
  device->last_used_us.store(now_us, std::memory_order_relaxed);
  return device;
}

void DeviceTable::ForgetOldest() {
  // Held nowhere else: under the exclusive lock nobody can take another reference.
  std::vector<std::pair<int64_t, std::string>> idle;
  for (const auto& [id, device] : devices_) {
    if (device.use_count() == 1) idle.emplace_back(device->last_used_us.load(std::memory_order_relaxed), id);
  }
  const size_t count = std::min(idle.size(), std::max<size_t>(max_devices_ / 20, 1));
  std::nth_element(idle.begin(), idle.begin() + static_cast<ptrdiff_t>(count), idle.end());
  for (size_t i = 0; i < count; ++i) {
    forgotten_(idle[i].second);
    devices_.erase(idle[i].second);
  }
}

std::vector<DeviceInfo> DeviceTable::List() const {
  std::vector<std::shared_ptr<Device>> held;
  {
    const std::shared_lock lock(mutex_);
    held.reserve(devices_.size());
    for (const auto& [id, device] : devices_) held.push_back(device);
  }
  std::vector<DeviceInfo> out;
  out.reserve(held.size());
  for (const auto& device : held) {
    const std::lock_guard lock(device->mutex);
    out.push_back({device->id, device->source == nullptr ? "" : device->source->name, device->figures});
  }
  std::sort(out.begin(), out.end(), [](const DeviceInfo& a, const DeviceInfo& b) { return a.id < b.id; });
  return out;
}

size_t DeviceTable::size() const {
  const std::shared_lock lock(mutex_);
  return devices_.size();
}

}  // namespace sluice::intake
