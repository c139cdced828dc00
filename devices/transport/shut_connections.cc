#include "devices/transport/shut_connections.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

namespace sluice::transport {
namespace {

bool IsPeer(const sockaddr_storage& peer, const MqttAddress& address) {
  if (peer.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(peer);
    in_addr host;
    const bool numeric = inet_pton(AF_INET, address.host.c_str(), &host) == 1;
    return ntohs(v4.sin_port) == address.port && (!numeric || v4.sin_addr.s_addr == host.s_addr);
  }
  if (peer.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(peer);
    in6_addr host;
    const bool numeric = inet_pton(AF_INET6, address.host.c_str(), &host) == 1;
    return ntohs(v6.sin6_port) == address.port && (!numeric || std::memcmp(&v6.sin6_addr, &host, sizeof host) == 0);
  }
  return false;
}

}  // namespace

int ShutConnectionsTo(const MqttAddress& address) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
  if (!folder) return 0;
  int shut = 0;
  while (const dirent* entry = readdir(folder.get())) {
    const int fd = std::atoi(entry->d_name);
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    // Fails on everything that is no connected socket, "." and ".." (0) included.
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || !IsPeer(peer, address)) continue;
    if (shutdown(fd, SHUT_RDWR) == 0) ++shut;
  }
  return shut;
}

}  // namespace sluice::transport
