// One process per folder: an flock(2) that the kernel drops when the process ends, however it ends.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace sluice {

class LockFile {
 public:
  LockFile() = default;
  // Locks the folder that the file lies in and, where it can be made and opened, the file, with the process id in it for
  // people: neither a full disk nor what lies in the file's place keeps anybody from the lock. FailedPrecondition, naming
  // the holder's process id, when another process (or another LockFile of this one) has it.
  static absl::StatusOr<LockFile> Acquire(const std::string& path);
  // The folder alone; as above.
  static absl::StatusOr<LockFile> AcquireFolder(const std::string& folder);

 private:
  UniqueFd folder_, file_;
};

}  // namespace sluice
