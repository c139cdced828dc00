// A serial line whose far end is the test: the slave side is the port, the master side the device.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace sluice::fakes {

class Pty {
 public:
  Pty() : master_(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    grantpt(master_.get());
    unlockpt(master_.get());
    char name[64];
    if (ptsname_r(master_.get(), name, sizeof name) == 0) name_ = name;
    // No echo of what the test writes, even before the port is opened and set.
    termios settings{};
    tcgetattr(master_.get(), &settings);
    cfmakeraw(&settings);
    tcsetattr(master_.get(), TCSANOW, &settings);
  }

  const std::string& name() const { return name_; }   // /dev/pts/7
  int fd() const { return master_.get(); }
  bool Write(std::string_view bytes) {
    return write(master_.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  }
  // Until `size` bytes came or 10 s passed.
  std::string Read(size_t size) {
    std::string all;
    while (all.size() < size) {
      pollfd waiting{master_.get(), POLLIN, 0};
      if (poll(&waiting, 1, 10'000) <= 0 || (waiting.revents & POLLIN) == 0) break;
      char buffer[4096];
      const ssize_t count = read(master_.get(), buffer, sizeof buffer);
      if (count <= 0) break;
      all.append(buffer, static_cast<size_t>(count));
    }
    return all;
  }
  void Unplug() { master_.Reset(); }

 private:
  UniqueFd master_;
  std::string name_;
};

}  // namespace sluice::fakes
