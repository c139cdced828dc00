// Table audit: who did what that somebody should look at.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "cloud/store/store.h"

namespace sluice::ingest {

inline constexpr store::Sql kInsertAudit{"INSERT INTO audit(at_ms, gateway, what, detail) VALUES(?, ?, ?, ?)", "ittt"};

inline absl::Status Audit(store::Transaction& transaction, int64_t at_ms, const std::string& gateway,
                          std::string_view what, std::string_view detail) {
  return transaction.Run(kInsertAudit, at_ms, gateway, what, detail).status();
}

}  // namespace sluice::ingest
