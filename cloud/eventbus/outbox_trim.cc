#include "cloud/eventbus/outbox_trim.h"

#include <algorithm>

#include "base/status.h"

namespace sluice::eventbus {
namespace {

constexpr store::Sql kPublishedTo{"SELECT position FROM bus_relay WHERE publisher = ?", "t", "i"};
// The newest of those that are not among the newest n.
constexpr store::Sql kBeforeNewest{
    "SELECT position FROM bus_outbox ORDER BY position DESC LIMIT 1 OFFSET ?", "i", "i"};
constexpr store::Sql kOldest{
    "SELECT coalesce(max(position), 0), count(*) FROM "
    "(SELECT position FROM bus_outbox WHERE position <= ? ORDER BY position LIMIT ?) AS oldest",
    "ii", "ii"};
constexpr store::Sql kDelete{"DELETE FROM bus_outbox WHERE position <= ?", "i"};
constexpr store::Sql kNote{
    "INSERT INTO bus_trim(id, position) VALUES(1, ?) ON CONFLICT(id) DO UPDATE SET position = excluded.position", "i"};
constexpr store::Sql kNoted{"SELECT position FROM bus_trim", "", "i"};

}  // namespace

absl::StatusOr<int64_t> TrimBound(store::Transaction& transaction, const TrimRules& rules) {
  if (rules.publishers.empty()) return 0;
  int64_t bound = rules.old_to;
  for (const std::string& publisher : rules.publishers) {
    ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kPublishedTo, publisher));
    bound = std::min(bound, row == nullptr ? 0 : row->Int(0));
  }
  ASSIGN_OR_RETURN(const int64_t trimmed, TrimmedTo(transaction));
  if (bound <= trimmed) return 0;
  ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kBeforeNewest, rules.newest_kept));
  return row == nullptr ? 0 : std::min(bound, row->Int(0));
}

absl::StatusOr<int64_t> Trim(store::Transaction& transaction, int64_t bound, int64_t rows) {
  ASSIGN_OR_RETURN(store::Statement * oldest, transaction.Find(kOldest, bound, rows));
  const int64_t last = oldest->Int(0), count = oldest->Int(1);
  if (count == 0) return 0;
  RETURN_IF_ERROR(transaction.Run(kDelete, last).status());
  RETURN_IF_ERROR(transaction.Run(kNote, last).status());
  return count;
}

absl::StatusOr<int64_t> TrimmedTo(store::Transaction& transaction) {
  ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kNoted));
  return row == nullptr ? 0 : row->Int(0);
}

}  // namespace sluice::eventbus
