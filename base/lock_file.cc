#include "base/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "base/status.h"

namespace sluice {
namespace {

// True: locked. False: it cannot be (a file system without locks). FailedPrecondition: somebody has it.
absl::StatusOr<bool> Lock(int fd, const std::string& path, const std::string& pid_file) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
  if (errno != EWOULDBLOCK) return false;
  std::string holder = pid_file.empty() ? "" : ReadFile(pid_file, 32).value_or("");
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  return absl::FailedPreconditionError(
      StrCat(path, " is held by another process", holder.empty() ? "" : StrCat(" (pid ", holder, ")")));
}

}  // namespace

absl::StatusOr<LockFile> LockFile::AcquireFolder(const std::string& folder) {
  LockFile lock;
  lock.folder_ = UniqueFd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.folder_) return absl::ErrnoToStatus(errno, StrCat("open ", folder));
  ASSIGN_OR_RETURN(const bool locked, Lock(lock.folder_.get(), folder, ""));
  if (!locked) lock.folder_ = UniqueFd();
  return lock;
}

absl::StatusOr<LockFile> LockFile::Acquire(const std::string& path) {
  LockFile lock;
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const std::string folder = parent.empty() ? "." : parent;
  lock.folder_ = UniqueFd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.folder_) return absl::ErrnoToStatus(errno, StrCat("open ", folder));
  ASSIGN_OR_RETURN(const bool folder_locked, Lock(lock.folder_.get(), path, path));
  lock.file_ = UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600));
  const absl::Status opened = lock.file_ ? absl::OkStatus() : absl::ErrnoToStatus(errno, StrCat("open ", path));
  bool file_locked = false;
  if (opened.ok()) {
    // A release that knows the file alone may hold it.
    ASSIGN_OR_RETURN(file_locked, Lock(lock.file_.get(), path, path));
  }
  if (!folder_locked && !file_locked) {
    return opened.ok() ? absl::UnavailableError(StrCat(path, " cannot be locked on this file system")) : opened;
  }
  if (!file_locked) return lock;
  // For people alone: the lock holds without it, also on a disk that is full.
  const std::string mine = StrCat(getpid(), "\n");
  if (ftruncate(lock.file_.get(), 0) == 0) static_cast<void>(!pwrite(lock.file_.get(), mine.data(), mine.size(), 0));
  return lock;
}

}  // namespace sluice
