// Who may come in with which password: one line for each device, "<device>:<PHC string>" (base/password_hash.h).
//
//   # comments and blank lines stay where they are
//   vend-7:$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0c2E$…
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/password_hash.h"

namespace sluice {

class PasswordFile {
 public:
  using Entries = std::map<std::string, PasswordHash, std::less<>>;

  // Pure. InvalidArgument "line 3: …" says what is wrong and repeats nothing of the line: it may hold a secret.
  static absl::StatusOr<PasswordFile> Parse(std::string_view text);
  // Reads the file, at most 4 MiB. FailedPrecondition where its mode lets others in: 0600 and 0640 are allowed, and less.
  // *stamp, if given, is that of what was read.
  static absl::StatusOr<PasswordFile> Load(const std::string& path, FileStamp* stamp = nullptr);

  const Entries& entries() const { return entries_; }
  const PasswordHash* Find(std::string_view device) const;   // null: unknown

 private:
  Entries entries_;
};

// The text with the device's line put in place of its old one or at the end, or without it. Everything else stays as it is.
std::string WithPassword(std::string_view text, std::string_view device, const PasswordHash& hash);
std::string WithoutPassword(std::string_view text, std::string_view device);

// Replaces the file by what `edit` makes of it: atomically, synced, with its mode and owner; a new one gets mode 0640 and the
// folder's group. One editor at a time: another waits. `edit` gets "" where there is no file; its error leaves all as it was.
// The old text must parse, and so must the new.
absl::Status EditPasswordFile(const std::string& path,
                              const std::function<absl::StatusOr<std::string>(const std::string& text)>& edit);

}  // namespace sluice
