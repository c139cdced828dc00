// A disk in memory that writes down everything that is done to it, and can say afterwards what would be on it had the power
// gone at any moment.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/random.h"

namespace sluice::fakes {

inline constexpr size_t kSectorBytes = 512;   // what a disk writes as one, if it is a good one

// Content by path: what is durable.
using DiskImage = std::map<std::string, std::string>;

// One thing that was done. `file` names the file itself, whatever it is called.
struct DiskOp {
  enum class Kind : uint8_t {
    kCreate,        // path → file
    kWrite,         // data at offset
    kResize,        // to `offset` bytes
    kSyncBegin,     // of what was written before …
    kSyncEnd,       // … durable now
    kSyncFailed,    // … and may never be, whatever later syncs say
    kDropCache,     // what is durable was read back: it is `data`
    kRename,        // path → to
    kRemove,        // path
    kSyncFolder,    // path: the names in it are durable
    kMark,          // the test's own: `mark`
  };
  Kind kind;
  uint64_t file = 0;
  uint64_t offset = 0;
  uint64_t mark = 0;
  std::string data, path, to;
};

// Thread-safe. Reads see what was written, as through a page cache.
class RecordedDisk final : public FileSystem {
 public:
  explicit RecordedDisk(DiskImage content = {}, uint64_t seed = 1);

  // How much of a write arrives, and what the writer is told; by default all, and all of it.
  struct WriteFate {
    size_t arrives = 0;
    absl::StatusOr<size_t> answer;
  };
  using OnWrite = std::function<WriteFate(const std::string& path, uint64_t offset, size_t size)>;
  // Called between the begin and the end of a sync, without locks. An error is the sync's.
  using OnSync = std::function<absl::Status(const std::string& path)>;
  void SetOnWrite(OnWrite hook);
  void SetOnSync(OnSync hook);

  // The process is dead (kill -9): whatever its threads still try fails and leaves no trace. False: the next one runs.
  void SetDead(bool dead);
  void Mark(uint64_t mark);

  const DiskImage& base() const { return base_; }
  // The number of the file that has this name now; 0: there is none.
  uint64_t FileAt(const std::string& path) const;
  // Nobody may use the disk any more.
  const std::vector<DiskOp>& log() const { return log_; }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& folder) override;
  Look LookAt(const std::string& path) override;
  absl::Status MakeFolder(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status SyncFolder(const std::string& folder) override;

 private:
  struct Inode {
    uint64_t number;
    std::string path, content;
  };
  class RecordedFile;

  absl::Status Alive() const;
  void DropCache(Inode& inode);

  const DiskImage base_;
  mutable std::mutex mu_;
  std::map<std::string, std::shared_ptr<Inode>> names_;
  uint64_t next_inode_ = 1;
  bool dead_ = false;
  OnWrite on_write_;
  OnSync on_sync_;
  std::vector<DiskOp> log_;
  SeededRandom fate_;   // what a failed sync has left on the medium
};

// Walks along a log and builds images. For one thread.
class PowerCuts {
 public:
  // Files of `base` are numbered from 1 in the order of their paths, as RecordedDisk does.
  PowerCuts(const DiskImage& base, const std::vector<DiskOp>& log);

  // Takes the next operation of the log; false at its end.
  bool Step();
  size_t at() const { return at_; }

  // What may be on the disk if the power goes now: names as some prefix of what was not synced in their folder, and each
  // sector of what was not synced new, old, in between, torn or garbled.
  DiskImage Image(Random& random) const;
  // What is read of a file once nothing of it is cached but what still waits for a sync.
  std::string Reread(uint64_t file, Random& random) const;

 private:
  struct Version {
    size_t op;          // which operation wrote it
    std::string bytes;  // the sector, or less at the end of the file
  };
  struct Sector {
    std::vector<Version> versions;  // written since the last good sync, oldest first
    size_t doubtful = 0;            // so many of them a failed sync has covered: no later sync makes them durable
  };
  struct FileState {
    std::string durable, cache;
    std::map<size_t, Sector> pending;               // by sector number
    std::map<size_t, size_t> syncing;               // of the running sync: how many versions it covers
    size_t syncing_size = 0;
    size_t cut_to = SIZE_MAX;                       // the smallest size since the last good sync, if it was cut …
    size_t cut_at = 0, syncing_cut_at = 0;          // … last by this operation
  };
  using Names = std::map<std::string, uint64_t>;

  void Write(const DiskOp& op);
  void Resize(const DiskOp& op);
  void EndSync(FileState& file, bool good);
  static void Apply(const DiskOp& op, Names& names);
  std::string ContentOf(const FileState& file, Random& random) const;

  const std::vector<DiskOp>& log_;
  size_t at_ = 0;
  std::map<uint64_t, FileState> files_;
  Names durable_names_;
  std::vector<size_t> unsynced_names_;  // operations
};

}  // namespace sluice::fakes
