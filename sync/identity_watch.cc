#include "sync/identity_watch.h"

#include <sys/stat.h>

#include <utility>

namespace sluice::sync {

IdentityWatch::IdentityWatch(IdentityFiles files) : files_(std::move(files)), seen_(LookAtAll()) {}

bool IdentityWatch::Changed() {
  const std::array<Look, 3> now = LookAtAll();
  return std::exchange(seen_, now) != now;
}

std::array<IdentityWatch::Look, 3> IdentityWatch::LookAtAll() const {
  std::array<Look, 3> looks;
  const std::string* paths[] = {&files_.certificate, &files_.private_key, &files_.authorities};
  for (size_t i = 0; i < looks.size(); ++i) {
    struct stat file = {};
    if (stat(paths[i]->c_str(), &file) != 0) continue;
    looks[i] = {.device = file.st_dev,
                .inode = file.st_ino,
                .size = static_cast<uint64_t>(file.st_size),
                .changed_ns = int64_t{file.st_mtim.tv_sec} * 1'000'000'000 + file.st_mtim.tv_nsec};
  }
  return looks;
}

}  // namespace sluice::sync
