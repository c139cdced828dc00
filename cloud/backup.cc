#include "cloud/backup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/status.h"
#include "cloud/config.h"
#include "cloud/ingest/sql_cursor_store.h"
#include "cloud/service_schema.h"
#include "cloud/store/backup.h"
#include "cloud/store/store.h"

namespace sluice::cloud {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBesideIt[] = {"", "-wal", "-shm"};   // of a SQLite database

std::string StorePath(const std::string& folder, const std::string& service) {
  return StrCat(folder, "/", service, ".db");
}

bool Exists(const std::string& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

absl::Status Failed(std::string_view what, const std::string& path, int error) {
  return absl::UnavailableError(StrCat(what, " ", path, ": ", std::strerror(error)));
}

std::string WithoutSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string ParentOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// Those asked for, or all that have a store in `folder`.
absl::StatusOr<std::vector<std::string>> ServicesIn(const std::string& folder, std::vector<std::string> asked) {
  const bool all = asked.empty();
  if (all) asked.assign(std::begin(kServices), std::end(kServices));
  std::vector<std::string> found;
  for (const std::string& service : asked) {
    RETURN_IF_ERROR(SchemaOf(service).status());
    if (Exists(StorePath(folder, service))) {
      found.push_back(service);
    } else if (!all) {
      return absl::NotFoundError(StrCat(StorePath(folder, service), ": not there"));
    }
  }
  if (found.empty()) return absl::NotFoundError(StrCat(folder, ": no store of any service"));
  return found;
}

absl::Status CopyAll(const BackupOptions& options, const std::vector<std::string>& services, const std::string& folder) {
  for (const std::string& service : services) {
    RETURN_IF_ERROR(store::CopyDatabase(StorePath(options.data_dir, service), store::Source::kMayBeOpen,
                                        StorePath(folder, service)));
  }
  return PosixFileSystem().SyncFolder(folder);
}

// Where a store is made ready; on the file system of its place.
std::string StagedPath(const std::string& data_dir, const std::string& service) {
  return StrCat(data_dir, "/", service, ".restoring.db");
}

void RemoveStaged(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal", ".lock"}) unlink((path + suffix).c_str());
}

absl::Status CheckIsStoreOf(const std::string& path, const std::string& service) {
  static constexpr store::Sql kKnows{"SELECT count(*) FROM schema_version WHERE component = ?", "t", "i"};
  int64_t known = 0;
  const absl::Status status = store::Store::ReadOnce(path, [&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kKnows, service));
    known = row->Int(0);
    return absl::OkStatus();
  });
  if (status.ok() && known > 0) return status;
  return absl::DataLossError(StrCat("is no store of ", service, status.ok() ? "" : StrCat(": ", MessageOf(status))));
}

// Copies, checks and brings up to date; nothing that is in use changes.
absl::Status Stage(const RestoreOptions& options, const std::string& service, Random& random) {
  const std::string from = StorePath(options.from, service);
  const std::string staged = StagedPath(options.data_dir, service);
  RemoveStaged(staged);   // of a restore that was killed: we hold the lock
  RETURN_IF_ERROR(store::CopyDatabase(from, store::Source::kAtRest, staged));
  RETURN_IF_ERROR(WithContext(CheckIsStoreOf(staged, service), from));
  ASSIGN_OR_RETURN(const std::vector<store::Component> schema, SchemaOf(service));
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<store::Store> opened, store::Store::Open({.path = staged}, schema));
    RETURN_IF_ERROR(ingest::SetNewGeneration(*opened, random).status());
  }
  std::error_code ignored;
  if (fs::file_size(staged + "-wal", ignored) > 0 && !ignored) {
    return absl::UnavailableError(StrCat(staged, ": its WAL could not be taken in"));
  }
  for (const char* suffix : {"-wal", "-shm", ".lock"}) unlink((staged + suffix).c_str());
  return store::SyncFile(staged);
}

absl::StatusOr<std::string> MakeAsideFolder(const std::string& data_dir, const Clock& clock) {
  for (int64_t number = clock.WallMs();; ++number) {
    std::string folder = StrCat(data_dir, "/replaced-", number);
    if (mkdir(folder.c_str(), 0700) == 0) return folder;
    if (errno != EEXIST) return Failed("make folder", folder, errno);
  }
}

// A second name for what is there, and a copy of the published events, which the relay will cut back to where the backup
// had them.
absl::Status SetAside(const std::string& data_dir, const std::string& service, const std::string& folder) {
  const std::string path = StorePath(data_dir, service);
  for (const char* suffix : kBesideIt) {
    const std::string old = path + suffix;
    if (!Exists(old)) continue;
    if (link(old.c_str(), StrCat(folder, "/", service, ".db", suffix).c_str()) != 0) return Failed("set aside", old, errno);
  }
  PosixFileSystem files;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(data_dir));
  for (const std::string& name : names) {
    if (!name.starts_with(service + "-events") || !name.ends_with(".jsonl")) continue;
    const std::string copy = StrCat(folder, "/", name);
    std::error_code error;
    fs::copy_file(StrCat(data_dir, "/", name), copy, error);
    if (error) return absl::UnavailableError(StrCat("set aside ", name, ": ", error.message()));
    RETURN_IF_ERROR(store::SyncFile(copy));
  }
  return files.SyncFolder(folder);
}

// The old names go database first: a WAL that is alone is thrown away by whoever opens a new database there, one beside
// another database would be taken into it.
absl::Status Switch(const std::string& data_dir, const std::string& service) {
  const std::string path = StorePath(data_dir, service);
  for (const char* suffix : kBesideIt) {
    if (unlink((path + suffix).c_str()) != 0 && errno != ENOENT) return Failed("take away", path + suffix, errno);
  }
  PosixFileSystem files;
  RETURN_IF_ERROR(files.Rename(StagedPath(data_dir, service), path));
  return files.SyncFolder(data_dir);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> Backup(const BackupOptions& options) {
  const std::string to = WithoutSlashes(options.to), partial = to + ".partial";
  ASSIGN_OR_RETURN(const std::vector<std::string> services, ServicesIn(options.data_dir, options.services));
  if (Exists(to)) return absl::AlreadyExistsError(StrCat(to, ": is there already"));
  PosixFileSystem files;
  RETURN_IF_ERROR(files.MakeFolder(ParentOf(to)));
  if (mkdir(partial.c_str(), 0700) != 0) {
    if (errno != EEXIST) return Failed("make folder", partial, errno);
    return absl::AlreadyExistsError(
        StrCat(partial, ": a backup is being taken to there, or one was killed: then remove it"));
  }
  absl::Status status = CopyAll(options, services, partial);
  if (status.ok()) status = files.Rename(partial, to);
  if (!status.ok()) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
    return status;
  }
  RETURN_IF_ERROR(files.SyncFolder(ParentOf(to)));
  return services;
}

absl::StatusOr<Restored> Restore(const RestoreOptions& options, const Clock& clock, Random& random) {
  Restored restored;
  ASSIGN_OR_RETURN(restored.services, ServicesIn(options.from, options.services));
  PosixFileSystem files;
  RETURN_IF_ERROR(files.MakeFolder(options.data_dir));
  std::vector<UniqueFd> locks;
  std::vector<std::string> old;
  for (const std::string& service : restored.services) {
    const std::string path = StorePath(options.data_dir, service);
    ASSIGN_OR_RETURN(UniqueFd lock, store::LockDatabase(path));
    locks.push_back(std::move(lock));
    if (Exists(path) || Exists(path + "-wal")) old.push_back(service);
  }
  if (!old.empty() && !options.replace) {
    return absl::AlreadyExistsError(
        StrCat(StorePath(options.data_dir, old.front()), ": is there already; --replace sets it aside"));
  }
  absl::Status status;
  for (const std::string& service : restored.services) {
    status.Update(Stage(options, service, random));
    if (!status.ok()) break;
  }
  if (status.ok() && !old.empty()) {
    ASSIGN_OR_RETURN(restored.set_aside, MakeAsideFolder(options.data_dir, clock));
    for (const std::string& service : old) {
      status.Update(SetAside(options.data_dir, service, restored.set_aside));
      if (!status.ok()) break;
    }
  }
  if (!status.ok()) {
    for (const std::string& service : restored.services) RemoveStaged(StagedPath(options.data_dir, service));
    return status;
  }
  RETURN_IF_ERROR(files.SyncFolder(options.data_dir));
  for (const std::string& service : restored.services) RETURN_IF_ERROR(Switch(options.data_dir, service));
  return restored;
}

}  // namespace sluice::cloud
