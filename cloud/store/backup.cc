#include "cloud/store/backup.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/sqlite.h"
#include "base/status.h"

namespace sluice::store {
namespace {

absl::Status FileError(const std::string& path) {
  return absl::UnavailableError(StrCat(path, ": ", std::strerror(errno)));
}

absl::Status CopyPages(const std::string& from, Source source, const std::string& to) {
  ASSIGN_OR_RETURN(sqlite::Database in,
                   sqlite::Database::Open(from, {.read_only = true, .immutable = source == Source::kAtRest}));
  ASSIGN_OR_RETURN(sqlite::Database out, sqlite::Database::Open(to, {.create = false}));
  // All pages in one step, which is one snapshot: in several it would begin anew whenever somebody writes, and never end.
  sqlite3_backup* const backup = sqlite3_backup_init(out.handle(), "main", in.handle(), "main");
  if (backup == nullptr) return sqlite::StatusOf(out.handle(), sqlite3_errcode(out.handle()), "backup");
  const int step = sqlite3_backup_step(backup, -1);
  RETURN_IF_ERROR(sqlite::StatusOf(out.handle(), sqlite3_backup_finish(backup), "backup"));
  // Finish calls it no error when pages are left.
  return step == SQLITE_DONE ? absl::OkStatus() : absl::InternalError("backup: ended before its end");
}

// As it lies: a copy has no WAL.
absl::Status QuickCheck(const std::string& path) {
  ASSIGN_OR_RETURN(sqlite::Database database, sqlite::Database::Open(path, {.read_only = true, .immutable = true}));
  ASSIGN_OR_RETURN(sqlite::Statement check, database.Prepare("PRAGMA quick_check(1)"));
  ASSIGN_OR_RETURN(const bool row, check.Step());
  const std::string verdict(row ? check.Blob(0) : "no answer");
  return verdict == "ok" ? absl::OkStatus() : absl::DataLossError(StrCat("not sound: ", verdict));
}

absl::Status FillCopy(const std::string& from, Source source, const std::string& to) {
  RETURN_IF_ERROR(WithContext(CopyPages(from, source, to), from));
  RETURN_IF_ERROR(WithContext(QuickCheck(to), from));
  return SyncFile(to);
}

}  // namespace

absl::StatusOr<UniqueFd> LockDatabase(const std::string& path) {
  const std::string lock_path = path + ".lock";
  UniqueFd lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return FileError(lock_path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(StrCat(path, ": another process has it open"));
  }
  return lock;
}

absl::Status CopyDatabase(const std::string& from, Source source, const std::string& to) {
  std::error_code ignored;
  // It would be left out without a word.
  if (source == Source::kAtRest && std::filesystem::file_size(from + "-wal", ignored) > 0 && !ignored) {
    return absl::FailedPreconditionError(StrCat(from, ": has a WAL beside it, so it is no finished copy"));
  }
  if (!std::filesystem::exists(from, ignored)) return absl::NotFoundError(StrCat(from, ": not there"));
  {
    const UniqueFd file(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) return errno == EEXIST ? absl::AlreadyExistsError(StrCat(to, ": is there already")) : FileError(to);
  }
  absl::Status status = FillCopy(from, source, to);
  if (!status.ok()) {
    unlink(to.c_str());
    unlink((to + "-journal").c_str());
  }
  return status;
}

absl::Status SyncFile(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file && fsync(file.get()) == 0 ? absl::OkStatus() : FileError(path);
}

}  // namespace sluice::store
