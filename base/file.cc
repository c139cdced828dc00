#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/status.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

absl::Status Failed(std::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, StrCat(what, " ", path));
}

class PosixFile final : public File {
 public:
  PosixFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::StatusOr<size_t> WriteAt(uint64_t offset, std::string_view data) override {
    ssize_t written;
    do {
      written = pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
    } while (written < 0 && errno == EINTR);
    if (written < 0) return Failed("write", path_);
    return static_cast<size_t>(written);
  }

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) const override {
    std::string out(size, '\0');
    size_t done = 0;
    while (done < size) {
      const ssize_t got = pread(fd_.get(), out.data() + done, size - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Failed("read", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    out.resize(done);
    return out;
  }

  absl::Status Sync() override { return fdatasync(fd_.get()) == 0 ? absl::OkStatus() : Failed("fdatasync", path_); }

  void DropCache() override { posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED); }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat info {};
    if (fstat(fd_.get(), &info) != 0) return Failed("stat", path_);
    return static_cast<uint64_t>(info.st_size);
  }

  absl::Status Resize(uint64_t size) override {
    return ftruncate(fd_.get(), static_cast<off_t>(size)) == 0 ? absl::OkStatus() : Failed("resize", path_);
  }

 private:
  const UniqueFd fd_;
  const std::string path_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path, Mode mode) {
  int flags = O_CLOEXEC;
  switch (mode) {
    case Mode::kRead: flags |= O_RDONLY; break;
    case Mode::kReadWrite: flags |= O_RDWR; break;
    case Mode::kCreateNew: flags |= O_RDWR | O_CREAT | O_EXCL; break;
  }
  UniqueFd fd(open(path.c_str(), flags, 0600));
  if (!fd) return Failed("open", path);
  return std::make_unique<PosixFile>(std::move(fd), path);
}

absl::StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator it(folder, error);
  if (error) return absl::ErrnoToStatus(error.value(), StrCat("list ", folder));
  for (const auto& entry : it) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

FileSystem::Look PosixFileSystem::LookAt(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISREG(info.st_mode)) return {.kind = Look::Kind::kOther};
  return {.kind = Look::Kind::kFile, .size = static_cast<uint64_t>(info.st_size)};
}

absl::Status PosixFileSystem::MakeFolder(const std::string& path) {
  std::error_code error;
  const std::filesystem::path folder(path);
  if (std::filesystem::is_directory(folder, error)) return absl::OkStatus();
  if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Failed("make folder", path);
  return absl::OkStatus();
}

absl::Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  return rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus() : Failed("rename", from);
}

absl::Status PosixFileSystem::Remove(const std::string& path) {
  return unlink(path.c_str()) == 0 ? absl::OkStatus() : Failed("remove", path);
}

absl::Status PosixFileSystem::SyncFolder(const std::string& folder) {
  UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Failed("open", folder);
  return fsync(fd.get()) == 0 ? absl::OkStatus() : Failed("fsync", folder);
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t limit) {
  PosixFileSystem files;
  ASSIGN_OR_RETURN(auto file, files.Open(path, FileSystem::Mode::kRead));
  ASSIGN_OR_RETURN(std::string content, file->ReadAt(0, limit + 1));
  if (content.size() > limit) {
    return absl::OutOfRangeError(StrCat(path, " is larger than ", limit, " bytes"));
  }
  return content;
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view content, int mode, FileOwner owner) {
  const std::string temporary = StrCat(path, ".new");
  UniqueFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return Failed("create", temporary);
  absl::Status status;
  // One by one, as only root may give a file to another user; before the mode, which a change of owner narrows.
  constexpr auto kSame = static_cast<uid_t>(-1);
  if (fchown(fd.get(), kSame, owner.group) != 0 && errno != EPERM) status = Failed("chown", temporary);
  if (status.ok() && fchown(fd.get(), owner.user, kSame) != 0 && errno != EPERM) status = Failed("chown", temporary);
  if (status.ok() && fchmod(fd.get(), static_cast<mode_t>(mode)) != 0) status = Failed("chmod", temporary);
  while (status.ok() && !content.empty()) {
    const ssize_t written = write(fd.get(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) status = Failed("write", temporary);
    if (written > 0) content.remove_prefix(static_cast<size_t>(written));
  }
  if (status.ok() && fsync(fd.get()) != 0) status = Failed("fsync", temporary);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) status = Failed("rename", temporary);
  if (!status.ok()) {
    unlink(temporary.c_str());  // on a full disk a part of it would only stand in the way
    return status;
  }
  PosixFileSystem files;
  const auto folder = std::filesystem::path(path).parent_path().string();
  return files.SyncFolder(folder.empty() ? "." : folder);
}

FileStamp StampOf(const struct stat& info) {
  const auto ns = [](const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; };
  return {.device = info.st_dev, .inode = info.st_ino, .size = info.st_size, .modified_ns = ns(info.st_mtim),
          .changed_ns = ns(info.st_ctim)};
}

FileStamp StampOf(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? StampOf(info) : FileStamp();
}

}  // namespace sluice
