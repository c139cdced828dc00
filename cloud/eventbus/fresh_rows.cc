#include "cloud/eventbus/fresh_rows.h"

#include <algorithm>
#include <utility>

namespace sluice::eventbus {

void RowBuffer::Add(int64_t position, std::string_view entity, std::string_view envelope) {
  rows_.push_back({position, static_cast<uint32_t>(entity.size()), static_cast<uint32_t>(envelope.size())});
  text_.append(entity).append(envelope);
}

void RowBuffer::Append(const RowBuffer& other) {
  rows_.insert(rows_.end(), other.rows_.begin(), other.rows_.end());
  text_.append(other.text_);
}

void RowBuffer::Clear() {
  rows_.clear();
  text_.clear();
}

void FreshRows::Add(store::Transaction& transaction, int64_t position, std::string_view entity,
                    std::string_view envelope) {
  transaction.Join(*this);
  uncommitted_.Add(position, entity, envelope);
}

void FreshRows::Ended(bool committed) {
  if (uncommitted_.empty()) return;
  const int64_t last = uncommitted_.last();
  {
    const std::lock_guard lock(mutex_);
    if (!committed) {
      // A commit that failed may have reached the disk all the same.
      left_out_to_ = last;
    } else if (left_out_to_ != 0 || committed_.bytes() + uncommitted_.bytes() > max_bytes_) {
      left_out_to_ = last;
    } else if (committed_.empty()) {
      std::swap(committed_, uncommitted_);
    } else {
      committed_.Append(uncommitted_);
    }
  }
  uncommitted_.Clear();
}

FreshRows::Coverage FreshRows::Take(int64_t after, RowBuffer& rows) {
  rows.Clear();
  const std::lock_guard lock(mutex_);
  if (after < since_) return Coverage::kNone;
  std::swap(committed_, rows);
  if (!rows.empty()) since_ = std::max(since_, rows.last());
  if (left_out_to_ == 0) return Coverage::kAll;
  since_ = std::max(since_, std::exchange(left_out_to_, 0));
  return Coverage::kPart;
}

}  // namespace sluice::eventbus
