#include "base/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "base/file.h"
#include "base/status.h"

namespace sluice {

absl::StatusOr<LockFile> LockFile::Acquire(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return absl::ErrnoToStatus(errno, StrCat("open ", path));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return absl::ErrnoToStatus(errno, StrCat("lock ", path));
    std::string holder = ReadFile(path, 32).value_or("");
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return absl::FailedPreconditionError(
        StrCat(path, " is held by another process (pid ", holder.empty() ? "unknown" : holder, ")"));
  }
  // For people alone: the lock holds without it, also on a disk that is full.
  const std::string mine = StrCat(getpid(), "\n");
  if (ftruncate(fd.get(), 0) == 0 && pwrite(fd.get(), mine.data(), mine.size(), 0) < 0 && errno != ENOSPC) {
    return absl::ErrnoToStatus(errno, StrCat("write ", path));
  }
  return LockFile(std::move(fd));
}

}  // namespace sluice
