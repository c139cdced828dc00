#include "devices/native/receipts.h"

#include <iterator>
#include <utility>

#include "base/strings.h"

namespace sluice::native {
namespace {

// Puts `older` in front, keeping the newest `most`.
template <typename T>
void Prepend(std::vector<T> older, std::vector<T>& newer, size_t most) {
  older.insert(older.end(), std::make_move_iterator(newer.begin()), std::make_move_iterator(newer.end()));
  if (older.size() > most) older.erase(older.begin(), older.end() - static_cast<std::ptrdiff_t>(most));
  newer = std::move(older);
}

constexpr size_t kMaxNamed = 1000;   // refused and ids of one receipt, each

void TakeOver(devices::Receipt older, devices::Receipt& newer) {
  if (newer.ranges.empty()) newer.ranges = std::move(older.ranges);
  Prepend(std::move(older.refused), newer.refused, kMaxNamed);
  Prepend(std::move(older.ids), newer.ids, kMaxNamed);
}

std::string KeyOf(const devices::Receipt& receipt) { return StrCat(receipt.device_id, "/", receipt.boot); }

}  // namespace

void ReceiptQueue::Push(const devices::Receipt& receipt) {
  std::string key = KeyOf(receipt);
  const auto [at, fresh] = waiting_.try_emplace(key, receipt);
  if (fresh) {
    order_.push_back(std::move(key));
    if (order_.size() > max_waiting_) {
      waiting_.erase(order_.front());
      order_.pop_front();
    }
    return;
  }
  devices::Receipt older = std::exchange(at->second, receipt);
  TakeOver(std::move(older), at->second);
}

void ReceiptQueue::Return(devices::Receipt receipt) {
  std::string key = KeyOf(receipt);
  if (const auto at = waiting_.find(key); at != waiting_.end()) {
    TakeOver(std::move(receipt), at->second);
    return;
  }
  waiting_.emplace(key, std::move(receipt));
  order_.push_front(std::move(key));
}

std::optional<devices::Receipt> ReceiptQueue::Pop() {
  if (order_.empty()) return std::nullopt;
  const auto at = waiting_.find(order_.front());
  devices::Receipt receipt = std::move(at->second);
  waiting_.erase(at);
  order_.pop_front();
  return receipt;
}

}  // namespace sluice::native
