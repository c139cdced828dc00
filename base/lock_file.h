// One process per folder: an flock(2) that the kernel drops when the process ends, however it ends.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace sluice {

class LockFile {
 public:
  LockFile() = default;
  // Makes the file if needed and writes the process id into it, for people. FailedPrecondition, naming the holder's
  // process id, when another process (or another LockFile of this one) has it.
  static absl::StatusOr<LockFile> Acquire(const std::string& path);

 private:
  explicit LockFile(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace sluice
