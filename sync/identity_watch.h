// Whether the identity files were replaced since somebody looked: by what stat says, without reading them.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "sync/identity.h"

namespace sluice::sync {

// For one thread at a time.
class IdentityWatch {
 public:
  // Remembers how the files are now.
  explicit IdentityWatch(IdentityFiles files);

  // True: one of them is another file, has another size or time of change, came or went since the last call. Who then cannot
  // use what he reads looks again at the next change: certificate and key are replaced one after the other.
  bool Changed();

 private:
  struct Look {
    uint64_t device = 0, inode = 0, size = 0;
    int64_t changed_ns = 0;
    bool operator==(const Look&) const = default;
  };
  std::array<Look, 3> LookAtAll() const;

  const IdentityFiles files_;
  std::array<Look, 3> seen_;
};

}  // namespace sluice::sync
