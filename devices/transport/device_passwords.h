// Which device a user name and a password are, by a password file that may change at any time (base/password_file.h).
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "base/file.h"
#include "base/password_file.h"
#include "base/random.h"

namespace sluice::transport {

// Thread-safe. Recall is for the thread that serves connections; Verify and Reload are for one that may take its time.
//
// A success is remembered, as a keyed hash of name, password and the line in the file: devices that come back after a power cut
// do not cost an scrypt each, and a line that changed is not remembered. In memory only, under a key made at the start.
class DevicePasswords {
 public:
  static constexpr size_t kRemembered = 4096;

  DevicePasswords(std::string path, Random& random);

  // Reads the file if it is not the one read last. An error keeps what was known, is told once for each state of the file and
  // names it. True: somebody may have a new password, or none any more.
  absl::StatusOr<bool> Reload();

  // Whether exactly this was verified lately, and still is right. Costs one HMAC.
  bool Recall(std::string_view user, std::string_view password) const;
  // Costs an scrypt, for an unknown name as much as one of the known ones does, always the same one's.
  bool Verify(std::string_view user, std::string_view password);

  // Changes when the name's line does: who was let in by another one has to go. 0: the name is unknown.
  uint64_t LineOf(std::string_view user) const;
  size_t devices() const;

 private:
  using Mac = std::array<uint8_t, 32>;

  Mac MacOf(std::string_view user, std::string_view password, const PasswordHash& line) const;
  std::shared_ptr<const PasswordFile> file() const;

  const std::string path_;
  std::array<uint8_t, 32> key_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::shared_ptr<const PasswordFile> file_;
  FileStamp stamp_;   // of what was looked at last, readable or not
  bool looked_ = false;
  absl::flat_hash_set<Mac> remembered_;
  std::deque<Mac> order_;   // of remembered_, oldest first
};

}  // namespace sluice::transport
