// Everything that the intake remembers of one device.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "devices/driver.h"
#include "gateway/intake/device_ranges.h"
#include "gateway/intake/recent_ids.h"
#include "sluice/event/v1/event.pb.h"

namespace sluice::intake {

struct Device;

// One configured source and, where its devices understand receipts, the way back to them.
struct Source {
  const std::string name;
  std::atomic<devices::ReceiptChannel*> channel{nullptr};

  explicit Source(std::string source_name) : name(std::move(source_name)) {}
};

// Devices that something is owed to away from the hot path. Outlives the intake where the journal still holds completions:
// once closed it takes nothing more.
struct Chores {
  std::mutex mutex;
  std::condition_variable receipt_due;
  // Guarded by mutex; each device at most once in each list (Device::receipt_listed, Device::change_listed).
  std::vector<std::shared_ptr<Device>> receipts;
  std::vector<std::shared_ptr<Device>> changed;
  bool closed = false;
};

// What `sluicectl devices` shows.
struct DeviceFigures {
  std::string state;           // online, offline, degraded, out_of_service; empty: it never told
  bool offline_by_will = false;
  int64_t last_seen_ms = 0;    // Unix ms by the gateway's clock; 0: not since the start
  uint64_t accepted = 0, duplicates = 0, rejected = 0;
  uint64_t boot = 0;           // last boot number, 0 where the device does not number
  uint64_t last_seq = 0;       // the highest of that boot
  uint64_t late = 0;
};

struct Device {
  // What a receipt may carry between two sendings; what exceeds it is named when the device sends again.
  static constexpr size_t kMaxOwed = 256;

  const std::string id;
  const std::shared_ptr<Chores> chores;

  // Held through the whole of Accept, so that the order of Accept is the order of Append. Taken before `mutex`, never by
  // completions.
  std::mutex order;

  // Monotonic microseconds; read without a lock where the table looks for a device to forget.
  std::atomic<int64_t> last_used_us{0};

  // Short: never held over a call to the journal or a channel. Chores::mutex may be taken inside it.
  std::mutex mutex;
  // Guarded by mutex.
  DeviceRanges ranges;
  RecentIds ids;
  DeviceFigures figures;
  std::shared_ptr<Source> source;       // on which the device last spoke
  std::vector<uint64_t> owed_boots;     // whose ranges the next receipt lists
  std::vector<std::string> owed_ids;
  struct Refused {
    uint64_t boot = 0, seq = 0;
    std::string message_id, reason;
  };
  std::vector<Refused> owed_refusals;
  bool receipt_listed = false;
  bool change_listed = false;

  Device(std::string device_id, std::shared_ptr<Chores> device_chores)
      : id(std::move(device_id)), chores(std::move(device_chores)) {}
};

// What the event tells about the device.
void NoteState(DeviceFigures& figures, const event::v1::DeviceEvent& event);
// Call these with device.mutex held.
void NoteNumber(Device& device, uint64_t boot, uint64_t seq);
void NoteChange(const std::shared_ptr<Device>& device);   // the device's row is to be saved

}  // namespace sluice::intake
