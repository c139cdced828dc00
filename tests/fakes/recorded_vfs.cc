#include "tests/fakes/recorded_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

namespace sluice::fakes {
namespace {

constexpr int kShmLocks = 8;
constexpr int kSectorSize = 4096;   // what the VFS for Unix says

struct Connection;

// A file that is open: who has locked what, and the index of its log.
struct Shared {
  std::set<Connection*> readers;
  Connection* reserved = nullptr;
  Connection* pending = nullptr;
  Connection* exclusive = nullptr;
  std::vector<std::unique_ptr<char[]>> regions;
  std::set<Connection*> mapped;
  std::array<std::set<Connection*>, kShmLocks> shm_shared;
  std::array<Connection*, kShmLocks> shm_exclusive{};
};

struct Connection {
  RecordedDisk* disk;
  std::unique_ptr<File> file;
  std::shared_ptr<Shared> shared;
  std::string path;
  std::string folder_to_sync;   // with the next sync
  int level = SQLITE_LOCK_NONE;
  bool psow = true;
  bool delete_on_close = false;
};

struct VfsFile {
  sqlite3_file base;
  Connection* connection;
};

Connection& Of(sqlite3_file* file) { return *reinterpret_cast<VfsFile*>(file)->connection; }

struct State {
  std::mutex mu;   // guards everything, `Shared` too
  std::map<std::string, RecordedDisk*> mounts;
  std::map<std::pair<RecordedDisk*, uint64_t>, std::weak_ptr<Shared>> files;
  sqlite3_vfs* real = nullptr;
};

State& Vfs() {
  static State state;
  return state;
}

RecordedDisk* DiskOf(const char* path) {
  if (path == nullptr) return nullptr;
  State& state = Vfs();
  const std::lock_guard lock(state.mu);
  for (const auto& [folder, disk] : state.mounts) {
    if (std::strncmp(path, folder.c_str(), folder.size()) == 0 && path[folder.size()] == '/') return disk;
  }
  return nullptr;
}

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

int Close(sqlite3_file* file) {
  Connection& connection = Of(file);
  {
    const std::lock_guard lock(Vfs().mu);
    Shared& shared = *connection.shared;
    shared.readers.erase(&connection);
    for (Connection** holder : {&shared.reserved, &shared.pending, &shared.exclusive}) {
      if (*holder == &connection) *holder = nullptr;
    }
  }
  if (connection.delete_on_close) connection.disk->Remove(connection.path).IgnoreError();
  delete &connection;
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
  const auto bytes = Of(file).file->ReadAt(static_cast<uint64_t>(offset), static_cast<size_t>(size));
  if (!bytes.ok()) return SQLITE_IOERR_READ;
  std::memcpy(to, bytes->data(), bytes->size());
  if (bytes->size() == static_cast<size_t>(size)) return SQLITE_OK;
  std::memset(static_cast<char*>(to) + bytes->size(), 0, static_cast<size_t>(size) - bytes->size());
  return SQLITE_IOERR_SHORT_READ;
}

int Write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
  std::string_view rest(static_cast<const char*>(from), static_cast<size_t>(size));
  auto at = static_cast<uint64_t>(offset);
  while (!rest.empty()) {
    const absl::StatusOr<size_t> written = Of(file).file->WriteAt(at, rest);
    if (!written.ok()) return absl::IsResourceExhausted(written.status()) ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    if (*written == 0) return SQLITE_FULL;
    rest.remove_prefix(*written);
    at += *written;
  }
  return SQLITE_OK;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return Of(file).file->Resize(static_cast<uint64_t>(size)).ok() ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

int Sync(sqlite3_file* file, int) {
  Connection& connection = Of(file);
  if (!connection.file->Sync().ok()) return SQLITE_IOERR_FSYNC;
  if (connection.folder_to_sync.empty()) return SQLITE_OK;
  // What happens to it is nobody's business: so does the one for Unix.
  connection.disk->SyncFolder(connection.folder_to_sync).IgnoreError();
  connection.folder_to_sync.clear();
  return SQLITE_OK;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  const auto bytes = Of(file).file->Size();
  if (!bytes.ok()) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(*bytes);
  return SQLITE_OK;
}

int Lock(sqlite3_file* file, int level) {
  Connection& me = Of(file);
  const std::lock_guard lock(Vfs().mu);
  Shared& shared = *me.shared;
  const auto other = [&](const Connection* holder) { return holder != nullptr && holder != &me; };
  if (me.level >= level) return SQLITE_OK;
  if (other(shared.exclusive)) return SQLITE_BUSY;
  if (level == SQLITE_LOCK_SHARED) {
    if (other(shared.pending)) return SQLITE_BUSY;
    shared.readers.insert(&me);
  } else {
    if (other(shared.reserved) || other(shared.pending)) return SQLITE_BUSY;
    (level == SQLITE_LOCK_RESERVED ? shared.reserved : shared.pending) = &me;
    if (level == SQLITE_LOCK_EXCLUSIVE) {
      me.level = SQLITE_LOCK_PENDING;
      if (shared.readers.size() > 1) return SQLITE_BUSY;
      shared.exclusive = &me;
    }
  }
  me.level = level;
  return SQLITE_OK;
}

int Unlock(sqlite3_file* file, int level) {
  Connection& me = Of(file);
  const std::lock_guard lock(Vfs().mu);
  Shared& shared = *me.shared;
  for (Connection** holder : {&shared.reserved, &shared.pending, &shared.exclusive}) {
    if (*holder == &me) *holder = nullptr;
  }
  if (level == SQLITE_LOCK_NONE) shared.readers.erase(&me);
  me.level = std::min(me.level, level);
  return SQLITE_OK;
}

int CheckReservedLock(sqlite3_file* file, int* out) {
  const std::lock_guard lock(Vfs().mu);
  *out = Of(file).shared->reserved != nullptr ? 1 : 0;
  return SQLITE_OK;
}

int FileControl(sqlite3_file* file, int what, void* value) {
  switch (what) {
    case SQLITE_FCNTL_LOCKSTATE:
      *static_cast<int*>(value) = Of(file).level;
      return SQLITE_OK;
    case SQLITE_FCNTL_POWERSAFE_OVERWRITE: {
      int* psow = static_cast<int*>(value);
      if (*psow < 0) {
        *psow = Of(file).psow ? 1 : 0;
      } else {
        Of(file).psow = *psow != 0;
      }
      return SQLITE_OK;
    }
    default: return SQLITE_NOTFOUND;
  }
}

int SectorSize(sqlite3_file*) { return kSectorSize; }

int DeviceCharacteristics(sqlite3_file* file) { return Of(file).psow ? SQLITE_IOCAP_POWERSAFE_OVERWRITE : 0; }

int ShmMap(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
  Connection& me = Of(file);
  const std::lock_guard lock(Vfs().mu);
  Shared& shared = *me.shared;
  shared.mapped.insert(&me);
  const auto at = static_cast<size_t>(region);
  if (at >= shared.regions.size()) {
    *out = nullptr;
    if (extend == 0) return SQLITE_OK;
    while (at >= shared.regions.size()) shared.regions.push_back(std::make_unique<char[]>(static_cast<size_t>(size)));
  }
  *out = shared.regions[at].get();
  return SQLITE_OK;
}

int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  Connection& me = Of(file);
  const std::lock_guard lock(Vfs().mu);
  Shared& shared = *me.shared;
  for (int i = offset; i < offset + count; ++i) {
    auto& readers = shared.shm_shared[static_cast<size_t>(i)];
    const Connection* writer = shared.shm_exclusive[static_cast<size_t>(i)];
    if ((flags & SQLITE_SHM_LOCK) == 0) continue;
    if (writer != nullptr && writer != &me) return SQLITE_BUSY;
    if ((flags & SQLITE_SHM_EXCLUSIVE) != 0 && readers.size() > readers.count(&me)) return SQLITE_BUSY;
  }
  for (int i = offset; i < offset + count; ++i) {
    auto& readers = shared.shm_shared[static_cast<size_t>(i)];
    Connection*& writer = shared.shm_exclusive[static_cast<size_t>(i)];
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
      readers.erase(&me);
      if (writer == &me) writer = nullptr;
    } else if ((flags & SQLITE_SHM_SHARED) != 0) {
      readers.insert(&me);
    } else {
      writer = &me;
    }
  }
  return SQLITE_OK;
}

void ShmBarrier(sqlite3_file*) { const std::lock_guard lock(Vfs().mu); }

int ShmUnmap(sqlite3_file* file, int) {
  Connection& me = Of(file);
  const std::lock_guard lock(Vfs().mu);
  Shared& shared = *me.shared;
  for (auto& readers : shared.shm_shared) readers.erase(&me);
  for (Connection*& writer : shared.shm_exclusive) {
    if (writer == &me) writer = nullptr;
  }
  shared.mapped.erase(&me);
  if (shared.mapped.empty()) shared.regions.clear();
  return SQLITE_OK;
}

constexpr sqlite3_io_methods kMethods = {2,           Close,    Read,        Write,       Truncate,
                                         Sync,        FileSize, Lock,        Unlock,      CheckReservedLock,
                                         FileControl, SectorSize, DeviceCharacteristics, ShmMap, ShmLock,
                                         ShmBarrier,  ShmUnmap, nullptr,     nullptr};

int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* flags_out) {
  State& state = Vfs();
  RecordedDisk* disk = DiskOf(name);
  if (disk == nullptr) return state.real->xOpen(state.real, name, file, flags, flags_out);
  file->pMethods = nullptr;
  const std::string path = name;
  const bool write = (flags & SQLITE_OPEN_READWRITE) != 0;
  auto opened = disk->Open(path, write ? FileSystem::Mode::kReadWrite : FileSystem::Mode::kRead);
  bool made = false;
  if (absl::IsNotFound(opened.status()) && (flags & SQLITE_OPEN_CREATE) != 0) {
    opened = disk->Open(path, FileSystem::Mode::kCreateNew);
    made = opened.ok();
  }
  if (!opened.ok()) return SQLITE_CANTOPEN;
  auto connection = std::make_unique<Connection>();
  connection->disk = disk;
  connection->file = *std::move(opened);
  connection->path = path;
  constexpr int kJournals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
  if (made && (flags & kJournals) != 0) connection->folder_to_sync = FolderOf(path);
  if ((flags & SQLITE_OPEN_URI) != 0) connection->psow = sqlite3_uri_boolean(name, "psow", 1) != 0;
  connection->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
  {
    const std::lock_guard lock(state.mu);
    std::weak_ptr<Shared>& known = state.files[{disk, disk->FileAt(path)}];
    connection->shared = known.lock();
    if (connection->shared == nullptr) known = connection->shared = std::make_shared<Shared>();
  }
  reinterpret_cast<VfsFile*>(file)->connection = connection.release();
  file->pMethods = &kMethods;
  if (flags_out != nullptr) *flags_out = flags;
  return SQLITE_OK;
}

int Delete(sqlite3_vfs*, const char* name, int sync_folder) {
  State& state = Vfs();
  RecordedDisk* disk = DiskOf(name);
  if (disk == nullptr) return state.real->xDelete(state.real, name, sync_folder);
  const absl::Status removed = disk->Remove(name);
  if (absl::IsNotFound(removed)) return SQLITE_IOERR_DELETE_NOENT;
  if (!removed.ok()) return SQLITE_IOERR_DELETE;
  if (sync_folder != 0 && !disk->SyncFolder(FolderOf(name)).ok()) return SQLITE_IOERR_DIR_FSYNC;
  return SQLITE_OK;
}

int Access(sqlite3_vfs*, const char* name, int flags, int* out) {
  State& state = Vfs();
  RecordedDisk* disk = DiskOf(name);
  if (disk == nullptr) return state.real->xAccess(state.real, name, flags, out);
  const FileSystem::Look look = disk->LookAt(name);
  // An empty file counts as none.
  *out = flags == SQLITE_ACCESS_EXISTS ? look.size > 0 : look.kind != FileSystem::Look::Kind::kNothing;
  return SQLITE_OK;
}

int FullPathname(sqlite3_vfs*, const char* name, int size, char* out) {
  State& state = Vfs();
  if (DiskOf(name) == nullptr) return state.real->xFullPathname(state.real, name, size, out);
  sqlite3_snprintf(size, out, "%s", name);
  return SQLITE_OK;
}

}  // namespace

RecordedVfs::RecordedVfs(std::string folder, RecordedDisk& disk) : folder_(std::move(folder)) {
  State& state = Vfs();
  const std::lock_guard lock(state.mu);
  state.mounts[folder_] = &disk;
  state.files.clear();
  if (state.real != nullptr) return;
  state.real = sqlite3_vfs_find(nullptr);
  static sqlite3_vfs vfs = *state.real;   // what is not of files stays
  vfs.zName = "recorded";
  vfs.szOsFile = std::max<int>(vfs.szOsFile, sizeof(VfsFile));
  vfs.pNext = nullptr;
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  vfs.xAccess = Access;
  vfs.xFullPathname = FullPathname;
  sqlite3_vfs_register(&vfs, 1);
}

RecordedVfs::~RecordedVfs() {
  State& state = Vfs();
  const std::lock_guard lock(state.mu);
  state.mounts.erase(folder_);
}

}  // namespace sluice::fakes
