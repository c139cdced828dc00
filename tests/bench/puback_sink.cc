// sluice-bench-puback: an MQTT server that acknowledges at once and forgets. What sluice-sim reaches against it is what the
// load generator itself can do; scripts/bench measures that first.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

namespace {

volatile std::sig_atomic_t stop = 0;

struct Client {
  std::string in, out;
  bool five = false;
};

uint16_t Two(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 | static_cast<uint8_t>(bytes[at + 1]));
}

// Answers one packet; false: the client goes, or is none.
bool Answer(Client& client, uint8_t first, std::string_view body) {
  const auto answer = [&client](std::initializer_list<unsigned> bytes) {
    for (const unsigned byte : bytes) client.out.push_back(static_cast<char>(byte));
  };
  switch (first >> 4) {
    case 1:
      if (body.size() < 7) return false;
      client.five = body[6] == 5;
      if (client.five) answer({0x20, 3, 0, 0, 0}); else answer({0x20, 2, 0, 0});
      return true;
    case 3: {
      const size_t at = body.size() < 2 ? 0 : 2U + Two(body, 0);
      if (at == 0 || body.size() < at + 2) return false;
      answer({0x40, 2, static_cast<uint8_t>(body[at]), static_cast<uint8_t>(body[at + 1])});
      return true;
    }
    case 8:
      if (body.size() < 2) return false;
      if (client.five) {
        answer({0x90, 4, static_cast<uint8_t>(body[0]), static_cast<uint8_t>(body[1]), 0, 1});
      } else {
        answer({0x90, 3, static_cast<uint8_t>(body[0]), static_cast<uint8_t>(body[1]), 1});
      }
      return true;
    case 12: answer({0xD0, 0}); return true;
    default: return false;
  }
}

bool Take(Client& client, std::string_view bytes) {
  if (!client.in.empty()) {
    client.in += bytes;
    bytes = client.in;
  }
  for (;;) {
    size_t remaining = 0, at = 1;
    unsigned shift = 0;
    bool whole = false;
    while (at < bytes.size() && at <= 4 && !whole) {
      const auto byte = static_cast<uint8_t>(bytes[at++]);
      remaining |= size_t{byte & 0x7FU} << shift;
      shift += 7;
      whole = byte < 0x80;
    }
    if (!whole || bytes.size() - at < remaining) break;
    if (!Answer(client, static_cast<uint8_t>(bytes[0]), bytes.substr(at, remaining))) return false;
    bytes.remove_prefix(at + remaining);
  }
  client.in = std::string(bytes);
  return true;
}

bool Serve(int fd, Client& client) {
  static char buffer[256 << 10];
  const ssize_t count = recv(fd, buffer, sizeof buffer, 0);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0 || !Take(client, {buffer, static_cast<size_t>(count)})) return false;
  // Four bytes for each publish: the socket takes them, for the client reads before it sends more.
  const bool sent = client.out.empty() || send(fd, client.out.data(), client.out.size(), MSG_NOSIGNAL) ==
                                              static_cast<ssize_t>(client.out.size());
  client.out.clear();
  return sent;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: sluice-bench-puback PORT\n");
    return 2;
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  struct sigaction action {};
  action.sa_handler = [](int) { stop = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);

  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[1])));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, SOMAXCONN) != 0) {
    std::perror(argv[1]);
    return 1;
  }
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [poller](int fd) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  };
  watch(listener);
  std::puts("listening");
  std::fflush(stdout);
  std::map<int, Client> clients;
  epoll_event events[256];
  while (stop == 0) {
    const int count = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd != listener) {
        if (Serve(fd, clients[fd])) continue;
        clients.erase(fd);
        close(fd);
        continue;
      }
      for (int one; (one = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        setsockopt(one, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        clients[one] = {};
        watch(one);
      }
    }
  }
  return 0;
}
