// The file that holds the key which seals personal data, and what happens when it is lost or damaged.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/random.h"
#include "base/seal.h"

namespace sluice {

// `seal.key` in the state folder: 32 bytes, 0600. Beside it `seal.spare`, which knows what the key should be (an HMAC of
// it) and holds the next one: where the key is gone or no longer itself, the next takes its place, also on a disk that has
// no room for a new file. What the old key sealed cannot be opened any more; the old file is kept as seal.key.bad-<n>.
//
// Open and Keep are for one thread; the sealer is thread-safe.
class SealKey {
 public:
  // Never fails: there is always a key afterwards, if need be one that is in memory only (see kept).
  static SealKey Open(const std::string& folder, Random& random);

  const Sealer& sealer() const { return *sealer_; }
  // There was another key. `problem` says what was wrong with it, `set_aside` where its file is now (empty: there was none,
  // or it could not be moved).
  bool replaced() const { return replaced_; }
  const std::string& problem() const { return problem_; }
  const std::string& set_aside() const { return set_aside_; }
  // Others than the owner could read the key; they cannot any more.
  bool was_exposed() const { return was_exposed_; }
  // The key lies on the disk. Until it does nothing may be sealed with it (Sealer::may_seal): after the next start
  // nobody could open it.
  bool kept() const { return kept_; }
  // Tries to put on the disk what is not there yet. True: all is.
  bool Keep(Random& random);

 private:
  using Key = std::array<uint8_t, Sealer::kKeyBytes>;
  explicit SealKey(const std::string& folder) : folder_(folder) {}
  std::string key_path() const { return folder_ + "/seal.key"; }
  std::string spare_path() const { return folder_ + "/seal.spare"; }
  void Replace(std::string_view why);

  std::string folder_;
  Key key_{};
  std::unique_ptr<Sealer> sealer_;
  bool replaced_ = false;
  bool was_exposed_ = false;
  bool kept_ = false;        // in seal.key, or as the next one in seal.spare
  bool key_written_ = false;
  bool spare_written_ = false;
  std::string problem_, set_aside_;
};

}  // namespace sluice
