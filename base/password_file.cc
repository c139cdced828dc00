#include "base/password_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/device_name.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace sluice {
namespace {

constexpr size_t kMaxBytes = 4u << 20;
constexpr size_t kMaxLine = 1024;

absl::Status Failed(std::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, StrCat(what, " ", path));
}

// Without its line break, which goes from *text too.
std::string_view TakeLine(std::string_view* text) {
  const size_t end = text->find('\n');
  std::string_view line = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool IsRemark(std::string_view line) {
  return line.starts_with('#') || line.find_first_not_of(" \t") == std::string_view::npos;
}

bool IsOf(std::string_view line, std::string_view device) {
  return line.starts_with(device) && line.substr(device.size()).starts_with(':');
}

// Neither group nor others may write or run it, others may not read it.
absl::Status CheckMode(const struct stat& info, const std::string& path) {
  if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError(StrCat(path, " is not a file"));
  if ((info.st_mode & 0137) != 0) {
    return absl::FailedPreconditionError(StrCat(path, " must have mode 0600 or 0640: run chmod 640 on it"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(int fd, const std::string& path) {
  std::string text;
  char buffer[16 << 10];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed("read", path);
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kMaxBytes) return absl::OutOfRangeError(StrCat(path, " is larger than ", kMaxBytes, " bytes"));
  }
}

}  // namespace

absl::StatusOr<PasswordFile> PasswordFile::Parse(std::string_view text) {
  PasswordFile file;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = TakeLine(&text);
    const auto wrong = [number](std::string_view what) {
      return absl::InvalidArgumentError(StrCat("line ", number, ": ", what));
    };
    if (line.size() > kMaxLine) return wrong("is longer than 1024 bytes");
    if (IsRemark(line)) continue;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return wrong("must be <device>:$scrypt$…");
    if (!IsDeviceName(line.substr(0, colon))) {
      return wrong("the device must be 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot");
    }
    absl::StatusOr<PasswordHash> hash = PasswordHash::Parse(line.substr(colon + 1));
    if (!hash.ok()) return wrong(MessageOf(hash.status()));
    if (!file.entries_.try_emplace(std::string(line.substr(0, colon)), *std::move(hash)).second) {
      return wrong("the device has a line already");
    }
  }
  return file;
}

absl::StatusOr<PasswordFile> PasswordFile::Load(const std::string& path, FileStamp* stamp) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));   // not to hang on a pipe
  if (!fd) return Failed("open", path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return Failed("stat", path);
  if (stamp != nullptr) *stamp = StampOf(info);
  RETURN_IF_ERROR(CheckMode(info, path));
  ASSIGN_OR_RETURN(const std::string text, ReadAll(fd.get(), path));
  absl::StatusOr<PasswordFile> parsed = Parse(text);
  if (!parsed.ok()) return WithContext(parsed.status(), path);
  return parsed;
}

const PasswordHash* PasswordFile::Find(std::string_view device) const {
  const auto at = entries_.find(device);
  return at == entries_.end() ? nullptr : &at->second;
}

std::string WithPassword(std::string_view text, std::string_view device, const PasswordHash& hash) {
  const std::string mine = StrCat(device, ":", hash.ToString(), "\n");
  std::string out;
  bool placed = false;
  while (!text.empty()) {
    const std::string_view line = TakeLine(&text);
    if (!IsOf(line, device)) {
      out += StrCat(line, "\n");
    } else if (!std::exchange(placed, true)) {
      out += mine;
    }
  }
  if (!placed) out += mine;
  return out;
}

std::string WithoutPassword(std::string_view text, std::string_view device) {
  std::string out;
  while (!text.empty()) {
    const std::string_view line = TakeLine(&text);
    if (!IsOf(line, device)) out += StrCat(line, "\n");
  }
  return out;
}

absl::Status EditPasswordFile(const std::string& path,
                              const std::function<absl::StatusOr<std::string>(const std::string& text)>& edit) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const std::string folder = parent.empty() ? "." : parent;
  // The folder, not the file: that one is replaced by another.
  const UniqueFd lock(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) return Failed("open", folder);
  if (flock(lock.get(), LOCK_EX) != 0) return Failed("lock", folder);
  struct stat owner {};
  mode_t mode = 0640;
  uid_t user = static_cast<uid_t>(-1);
  std::string text;
  if (const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC)); fd) {
    if (fstat(fd.get(), &owner) != 0) return Failed("stat", path);
    RETURN_IF_ERROR(CheckMode(owner, path));
    mode = owner.st_mode & 07777;
    user = owner.st_uid;
    ASSIGN_OR_RETURN(text, ReadAll(fd.get(), path));
    if (const auto old = PasswordFile::Parse(text); !old.ok()) return WithContext(old.status(), path);
  } else if (errno != ENOENT) {
    return Failed("open", path);
  } else if (fstat(lock.get(), &owner) != 0) {   // whose group is the gateway's, as a rule
    return Failed("stat", folder);
  }
  absl::StatusOr<std::string> edited = edit(text);
  if (!edited.ok()) return edited.status();
  if (const auto parsed = PasswordFile::Parse(*edited); !parsed.ok()) return WithContext(parsed.status(), "the edited file");
  return WriteFileAtomically(path, *edited, static_cast<int>(mode), {.user = user, .group = owner.st_gid});
}

}  // namespace sluice
