#include "cloud/retention/age_marks.h"

#include "base/status.h"

namespace sluice::retention {
namespace {

constexpr store::Sql kReadServed{"SELECT served_ms FROM service_time", "", "i"};
constexpr store::Sql kWriteServed{
    "INSERT INTO service_time(id, served_ms) VALUES(1, ?) "
    "ON CONFLICT(id) DO UPDATE SET served_ms = excluded.served_ms",
    "i"};
constexpr store::Sql kNewest{"SELECT max(served_ms) FROM age_marks WHERE series = ?", "t", "i"};
constexpr store::Sql kInsert{"INSERT INTO age_marks(series, served_ms, mark) VALUES(?, ?, ?)", "tii"};
constexpr store::Sql kOfAge{
    "SELECT served_ms, mark FROM age_marks WHERE series = ? AND served_ms <= ? ORDER BY served_ms DESC LIMIT 1", "ti",
    "ii"};
constexpr store::Sql kForget{"DELETE FROM age_marks WHERE series = ? AND served_ms < ?", "ti"};

}  // namespace

store::Component Schema() {
  return {"retention",
          {
#include "retention/schema.inc"
          }};
}

absl::StatusOr<int64_t> AddServed(store::Transaction& transaction, int64_t ms) {
  ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kReadServed));
  const int64_t served = (row == nullptr ? 0 : row->Int(0)) + ms;
  RETURN_IF_ERROR(transaction.Run(kWriteServed, served).status());
  return served;
}

absl::Status NoteMark(store::Transaction& transaction, const std::string& series, int64_t served_ms, int64_t mark) {
  ASSIGN_OR_RETURN(store::Statement * newest, transaction.Find(kNewest, series));
  if (!newest->IsNull(0) && served_ms - newest->Int(0) < kDayMs) return absl::OkStatus();
  return transaction.Run(kInsert, series, served_ms, mark).status();
}

absl::StatusOr<int64_t> MarkOfAge(store::Transaction& transaction, const std::string& series, int64_t served_ms,
                                  int64_t age_ms) {
  ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kOfAge, series, served_ms - age_ms));
  if (row == nullptr) return 0;
  const int64_t mark = row->Int(1);
  RETURN_IF_ERROR(transaction.Run(kForget, series, row->Int(0)).status());
  return mark;
}

}  // namespace sluice::retention
