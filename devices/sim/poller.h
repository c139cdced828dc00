// One epoll for all links of the process.
#pragma once

#include <sys/epoll.h>

#include <cstdint>

#include "base/unique_fd.h"
#include "devices/sim/link.h"

namespace sluice::sim {

class Poller {
 public:
  Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  // Watches for reading always, for writing on demand. Calling again changes it.
  void Watch(int fd, Link* link, bool writing) {
    epoll_event event{};
    event.events = EPOLLIN | (writing ? EPOLLOUT : 0U);
    event.data.ptr = link;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  void Forget(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  // Calls OnReady of what is ready; returns after the first round, at the timeout, or on a signal.
  void Wait(int64_t timeout_us) {
    epoll_event events[256];
    const timespec timeout{.tv_sec = timeout_us / 1'000'000, .tv_nsec = timeout_us % 1'000'000 * 1000};
    const int count = epoll_pwait2(epoll_.get(), events, 256, &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      static_cast<Link*>(events[i].data.ptr)
          ->OnReady((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0, (events[i].events & EPOLLOUT) != 0);
    }
  }

 private:
  UniqueFd epoll_;
};

}  // namespace sluice::sim
