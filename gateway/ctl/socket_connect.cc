#include "gateway/ctl/socket_connect.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/strings.h"

namespace sluice::ctl {
namespace {

constexpr std::string_view kLook = "Look:  systemctl status sluiced;  journalctl -u sluiced -n 50";
constexpr std::string_view kElsewhere =
    "Its socket may be elsewhere (key `socket` in [control] of sluiced.toml): --socket PATH or SLUICE_SOCKET=PATH";

std::string UserName() {
  const passwd* user = getpwuid(geteuid());
  return user != nullptr ? user->pw_name : StrCat("uid ", geteuid());
}

// Which group would be let in; empty where that cannot be seen.
std::string GroupOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos || slash == 0 || stat(path.substr(0, slash).c_str(), &info) != 0) return "";
  }
  const group* entry = getgrgid(info.st_gid);
  return entry != nullptr ? entry->gr_name : StrCat("gid ", info.st_gid);
}

absl::Status Forbidden(const std::string& path) {
  const std::string user = UserName(), owner = GroupOf(path);
  std::string text = StrCat("permission denied on ", path, " (you are ", user, ")");
  if (owner.empty() || owner == "root") {
    text += "\nRun it with sudo, or as the user that runs sluiced";
  } else {
    text += StrCat("\nThe socket is open to the group ", owner, ":  sudo usermod -aG ", owner, " ", user,
                   "  and log in again, or run it with sudo");
  }
  return absl::UnavailableError(text);
}

}  // namespace

absl::StatusOr<UniqueFd> ConnectSocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::UnavailableError(
        StrCat("socket path '", path, "': a Unix socket's path has 1 to ", sizeof(address.sun_path) - 1, " bytes"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());

  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) {
    return absl::UnavailableError(StrCat(path, " is not a socket\n", kElsewhere));
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return absl::UnavailableError(StrCat("cannot make a socket: ", std::strerror(errno)));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  switch (errno) {
    case ENOENT:
    case ENOTDIR:
      return absl::UnavailableError(StrCat("no such file: ", path, "\nsluiced does not run, or not with this socket. ",
                                           kLook, "\n", kElsewhere));
    case EACCES:
    case EPERM:
      return Forbidden(path);
    case ECONNREFUSED:
      return absl::UnavailableError(StrCat("connection refused on ", path,
                                           "\nThe socket is there, but nobody listens: sluiced ended without removing "
                                           "it. ", kLook));
    case EAGAIN:
      return absl::UnavailableError(StrCat("sluiced does not take connections on ", path,
                                           ": its queue is full; it may hang. ", kLook));
    default:
      return absl::UnavailableError(StrCat("cannot connect to ", path, ": ", std::strerror(errno)));
  }
}

}  // namespace sluice::ctl
