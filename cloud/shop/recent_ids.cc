#include "cloud/shop/recent_ids.h"

#include <utility>

#include "base/status.h"

namespace sluice::shop {
namespace {

// One row for each device event of the shop service.
constexpr store::Sql kNewest{"SELECT entity, cause FROM bus_outbox ORDER BY position DESC LIMIT ?", "i", "tt"};

}  // namespace

absl::Status RecentIds::Load(store::Transaction& transaction) {
  if (loaded_) return absl::OkStatus();
  std::vector<std::pair<std::string, EventId>> newest;
  ASSIGN_OR_RETURN(store::Statement * rows, transaction.Query(kNewest, capacity_));
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows->Next());
    if (!more) break;
    const std::string_view entity = rows->Text(0);
    newest.emplace_back(entity.substr(0, entity.find('/')), EventId::Parse(rows->Text(1)).value_or(EventId{}));
  }
  for (auto row = newest.rbegin(); row != newest.rend(); ++row) Insert(row->first, row->second);
  Commit();
  loaded_ = true;
  return absl::OkStatus();
}

bool RecentIds::Insert(const std::string& shop, const EventId& id) {
  const Key key{shops_.try_emplace(shop, static_cast<uint32_t>(shops_.size())).first->second, id};
  if (!known_.insert(key).second) return false;
  order_.push_back(key);
  ++uncommitted_;
  return true;
}

void RecentIds::Commit() {
  uncommitted_ = 0;
  while (order_.size() > capacity_) {
    known_.erase(order_.front());
    order_.pop_front();
  }
}

void RecentIds::Rollback() {
  for (; uncommitted_ > 0; --uncommitted_) {
    known_.erase(order_.back());
    order_.pop_back();
  }
}

}  // namespace sluice::shop
