#include "gateway/intake/receipts.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sluice::intake {
namespace {

devices::Receipt& ReceiptOf(std::vector<devices::Receipt>& receipts, const Device& device, uint64_t boot) {
  for (devices::Receipt& receipt : receipts) {
    if (receipt.boot == boot) return receipt;
  }
  devices::Receipt& receipt = receipts.emplace_back();
  receipt.device_id = device.id;
  receipt.boot = boot;
  if (const auto* known = device.ranges.Find(boot)) receipt.ranges = known->safe.ranges();
  return receipt;
}

bool HasWayBack(const Device& device) {
  return device.source != nullptr && device.source->channel.load(std::memory_order_acquire) != nullptr;
}

}  // namespace

std::vector<devices::Receipt> TakeReceipts(Device& device) {
  std::vector<devices::Receipt> receipts;
  for (const uint64_t boot : device.owed_boots) ReceiptOf(receipts, device, boot);
  for (Device::Refused& refused : device.owed_refusals) {
    ReceiptOf(receipts, device, refused.boot)
        .refused.push_back({refused.seq, std::move(refused.message_id), std::move(refused.reason)});
  }
  if (!device.owed_ids.empty()) ReceiptOf(receipts, device, 0).ids = std::move(device.owed_ids);
  device.owed_boots.clear();
  device.owed_refusals.clear();
  device.owed_ids.clear();
  device.receipt_listed = false;
  return receipts;
}

void OweReceipt(const std::shared_ptr<Device>& device) {
  if (device->receipt_listed) return;
  Chores& chores = *device->chores;
  bool first;
  {
    const std::lock_guard lock(chores.mutex);
    if (chores.closed) return;
    first = chores.receipts.empty();
    chores.receipts.push_back(device);
  }
  device->receipt_listed = true;
  if (first) chores.receipt_due.notify_one();
}

void OweBoot(const std::shared_ptr<Device>& device, uint64_t boot) {
  if (!HasWayBack(*device)) return;
  auto& owed = device->owed_boots;
  if (std::find(owed.begin(), owed.end(), boot) == owed.end()) {
    if (owed.size() == Device::kMaxOwed) return;
    owed.push_back(boot);
  }
  OweReceipt(device);
}

void OweId(const std::shared_ptr<Device>& device, std::string message_id) {
  if (!HasWayBack(*device)) return;
  if (device->owed_ids.size() < Device::kMaxOwed) device->owed_ids.push_back(std::move(message_id));
  OweReceipt(device);
}

Receipts::Receipts(std::shared_ptr<Chores> chores, int64_t interval_ms)
    : chores_(std::move(chores)), interval_ms_(interval_ms) {}

Receipts::~Receipts() { Stop(); }

std::shared_ptr<Source> Receipts::SourceOf(const std::string& name) {
  const std::lock_guard lock(sources_mutex_);
  auto& source = sources_[name];
  if (source == nullptr) source = std::make_shared<Source>(name);
  return source;
}

void Receipts::SetChannel(const std::string& source, devices::ReceiptChannel* channel) {
  const std::lock_guard lock(sending_);
  SourceOf(source)->channel.store(channel, std::memory_order_release);
}

void Receipts::Start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
}

void Receipts::Stop() {
  {
    const std::lock_guard lock(chores_->mutex);
    stopping_ = true;
  }
  chores_->receipt_due.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Receipts::Flush() {
  const std::lock_guard sending(sending_);
  std::vector<std::shared_ptr<Device>> due;
  {
    const std::lock_guard lock(chores_->mutex);
    due.swap(chores_->receipts);
  }
  for (const auto& device : due) {
    std::vector<devices::Receipt> receipts;
    devices::ReceiptChannel* channel = nullptr;
    {
      const std::lock_guard lock(device->mutex);
      receipts = TakeReceipts(*device);
      if (device->source != nullptr) channel = device->source->channel.load(std::memory_order_acquire);
    }
    if (channel == nullptr) continue;
    for (const devices::Receipt& receipt : receipts) {
      channel->SendReceipt(receipt);
      sent_.fetch_add(1, std::memory_order_relaxed);
    }
  }
}

void Receipts::Run() {
  std::unique_lock lock(chores_->mutex);
  while (true) {
    chores_->receipt_due.wait(lock, [this] { return stopping_ || !chores_->receipts.empty(); });
    lock.unlock();
    Flush();
    lock.lock();
    if (stopping_) break;
    // What becomes due meanwhile waits for the end of the interval.
    chores_->receipt_due.wait_for(lock, std::chrono::milliseconds(interval_ms_), [this] { return stopping_; });
  }
}

}  // namespace sluice::intake
