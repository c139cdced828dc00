#include "gateway/control/socket_file.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/status/status.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace sluice::control {

absl::Status FreeSocketPath(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(StrCat("socket path '", path, "': a Unix socket's path has 1 to ",
                                             sizeof(address.sun_path) - 1, " bytes"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());

  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return absl::NotFoundError(StrCat("folder ", folder.string(), " for the control socket does not exist"));
  }
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, AsAbsl(StrCat("looking at ", path)));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(StrCat(path, " exists and is not a socket; it is left alone"));
  }

  UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return absl::ErrnoToStatus(errno, "making a socket");
  if (connect(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN) {
    // EAGAIN: its queue of connections is full, so somebody owns it.
    return absl::AlreadyExistsError(StrCat("another process answers on ", path, "; is sluiced running already?"));
  }
  if (errno == ENOENT) return absl::OkStatus();
  if (errno != ECONNREFUSED) return absl::ErrnoToStatus(errno, AsAbsl(StrCat("probing ", path)));
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, AsAbsl(StrCat("removing the stale socket ", path)));
  }
  return absl::OkStatus();
}

}  // namespace sluice::control
