// Which devices owe a receipt, and the one thread that sends them (delivery rules R3, R11).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "devices/driver.h"
#include "gateway/intake/device.h"

namespace sluice::intake {

// What the device is owed now, one receipt a boot: the ranges of the boot that are safe, all of them, and the refusals since
// the last receipt. Message ids go with boot 0. Clears what it takes. Call with device.mutex held.
std::vector<devices::Receipt> TakeReceipts(Device& device);

// Puts the device on the list; each device is there once. Call these with device.mutex held.
void OweReceipt(const std::shared_ptr<Device>& device);
// Likewise, with what the receipt is to name; nothing where the device's source has no way back.
void OweBoot(const std::shared_ptr<Device>& device, uint64_t boot);
void OweId(const std::shared_ptr<Device>& device, std::string message_id);

// Thread-safe. A receipt is cumulative, so any number of events of a device within one interval makes one receipt.
class Receipts {
 public:
  Receipts(std::shared_ptr<Chores> chores, int64_t interval_ms);
  ~Receipts();   // as Stop

  // The same object for the same name, for ever: sources come from the configuration.
  std::shared_ptr<Source> SourceOf(const std::string& name);
  // From now on receipts for devices of the source go to the channel; null ends it, and no call is under way afterwards.
  // Not from within SendReceipt.
  void SetChannel(const std::string& source, devices::ReceiptChannel* channel);

  // Begins to send: the first receipt after a pause at once, then at most one a device and interval.
  void Start();
  // Sends what is owed and ends the thread.
  void Stop();
  // Sends what is owed now, on the calling thread.
  void Flush();

  uint64_t sent() const { return sent_.load(std::memory_order_relaxed); }

 private:
  void Run();

  const std::shared_ptr<Chores> chores_;
  const int64_t interval_ms_;
  std::atomic<uint64_t> sent_{0};

  // Held while receipts go out, so that a channel is not taken away meanwhile. Before Device::mutex.
  std::mutex sending_;

  std::mutex sources_mutex_;
  // Guarded by sources_mutex_.
  std::map<std::string, std::shared_ptr<Source>, std::less<>> sources_;

  // Guarded by Chores::mutex.
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sluice::intake
