// Table audit: who did what that somebody should look at. Rows go by age only (cloud/retention).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cloud/store/store.h"

namespace sluice::ingest {

inline constexpr store::Sql kInsertAudit{"INSERT INTO audit(at_ms, gateway, what, detail) VALUES(?, ?, ?, ?)", "ittt"};

inline absl::Status Audit(store::Transaction& transaction, int64_t at_ms, const std::string& gateway,
                          std::string_view what, std::string_view detail) {
  return transaction.Run(kInsertAudit, at_ms, gateway, what, detail).status();
}

// 0: there is none.
inline constexpr store::Sql kNewestAudit{"SELECT coalesce(max(id), 0) FROM audit", "", "i"};

inline absl::StatusOr<int64_t> NewestAudit(store::Transaction& transaction) {
  absl::StatusOr<store::Statement*> row = transaction.Find(kNewestAudit);
  if (!row.ok()) return row.status();
  return (*row)->Int(0);
}

// The newest row stays in any case: its id must not be given again.
inline constexpr store::Sql kTrimAudit{
    "DELETE FROM audit WHERE id IN "
    "(SELECT id FROM audit WHERE id <= ? AND id < (SELECT max(id) FROM audit) ORDER BY id LIMIT ?)",
    "ii"};

// Deletes at most `rows` of the oldest up to id `to`; returns how many.
inline absl::StatusOr<int64_t> TrimAudit(store::Transaction& transaction, int64_t to, int64_t rows) {
  return transaction.Run(kTrimAudit, to, rows);
}

}  // namespace sluice::ingest
