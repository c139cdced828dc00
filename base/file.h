// Files as the journal needs them, handed in so that tests can tear writes, fail syncs and fill disks.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// An open file. Calls at different offsets may come from several threads.
class File {
 public:
  virtual ~File() = default;
  // Writes at most data.size() bytes at `offset`; the count may be short. Nothing is durable before Sync.
  virtual absl::StatusOr<size_t> WriteAt(uint64_t offset, std::string_view data) = 0;
  // Reads at most `size` bytes at `offset`; short at the end of the file.
  virtual absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) const = 0;
  // fdatasync. After an error nothing that was written since the last success may be believed, and this handle must not
  // be synced again (delivery.md: a failed fsync is never retried on the same handle).
  virtual absl::Status Sync() = 0;
  // Lets go of what the page cache holds of the file and is written, so that the next read comes from the medium: what a
  // failed sync left behind reads well from the cache and is nowhere else, also for the next process. Best effort.
  virtual void DropCache() {}
  virtual absl::StatusOr<uint64_t> Size() const = 0;
  // Cuts it off, or lengthens it by zeros that take no room yet.
  virtual absl::Status Resize(uint64_t size) = 0;
};

// Thread-safe. Paths are absolute or relative to the process.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  enum class Mode { kRead, kReadWrite, kCreateNew /* fails if it exists; mode 0600 */ };
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) = 0;
  // Names without the folder, sorted; NotFound if there is no such folder.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& folder) = 0;
  // What lies under a name, without following links; nothing too where it cannot be told.
  struct Look {
    enum class Kind { kNothing, kFile, kOther } kind = Kind::kNothing;
    uint64_t size = 0;  // of a file
  };
  virtual Look LookAt(const std::string& path) = 0;
  virtual absl::Status MakeFolder(const std::string& path) = 0;  // 0700, parents too; fine if it exists
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // fsync of the folder: makes creations, renames and removals in it durable.
  virtual absl::Status SyncFolder(const std::string& folder) = 0;
};

// The machine's. Has no state.
class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& folder) override;
  Look LookAt(const std::string& path) override;
  absl::Status MakeFolder(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status SyncFolder(const std::string& folder) override;
};

// A whole small file (configuration, key, password), at most `limit` bytes.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t limit = 1 << 20);
// Written beside, synced and renamed, mode as given: the old content or the new, never a part. Where an owner is given the
// file gets it, as far as the process may.
struct FileOwner {
  uid_t user = static_cast<uid_t>(-1);   // -1: the process's
  gid_t group = static_cast<gid_t>(-1);
};
absl::Status WriteFileAtomically(const std::string& path, std::string_view content, int mode = 0600, FileOwner owner = {});

// Tells one state of a file from another without reading it. All zero: there is no such file.
struct FileStamp {
  uint64_t device = 0, inode = 0;
  int64_t size = 0, modified_ns = 0, changed_ns = 0;

  bool operator==(const FileStamp&) const = default;
};
FileStamp StampOf(const struct stat& info);
FileStamp StampOf(const std::string& path);

}  // namespace sluice
