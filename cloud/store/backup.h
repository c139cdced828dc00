// Copies of a database, and the lock under which one may be replaced.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace sluice::store {

// Holds "<path>.lock", by which a Store keeps its database to one process. FailedPrecondition: another one has it.
absl::StatusOr<UniqueFd> LockDatabase(const std::string& path);

enum class Source {
  kMayBeOpen,   // by others, who write on. They see nothing of it but that their WAL grows meanwhile
  kAtRest,      // nothing writes to its folder; not even a file is made there
};

// Copies one state of the database `from`, as a transaction sees it, into the new file `to`, mode 0600. OK: the copy is
// sound (quick_check) and its content on the disk; the folder is the caller's to sync. AlreadyExists: `to` does. DataLoss:
// the copy is not sound. On error what was copied is removed. A database at rest must not have a WAL beside it.
absl::Status CopyDatabase(const std::string& from, Source source, const std::string& to);

// The content of the file is on the disk.
absl::Status SyncFile(const std::string& path);

}  // namespace sluice::store
