// A password file is an operator's text: read, edited, and never half understood.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/password_file.h"
#include "base/strings.h"

namespace {

void Check(bool good) {
  if (!good) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto file = sluice::PasswordFile::Parse(text);
  if (!file.ok()) {
    Check(file.status().code() == absl::StatusCode::kInvalidArgument);
    return 0;
  }
  const sluice::PasswordHash hash{.cost = {}, .salt = std::string(16, 's'), .hash = std::string(32, 'h')};
  for (const auto& [device, known] : file->entries()) {
    const auto again = sluice::PasswordHash::Parse(known.ToString());
    Check(again.ok() && *again == known);
    // An edit touches its own line only.
    const auto replaced = sluice::PasswordFile::Parse(sluice::WithPassword(text, device, hash));
    Check(replaced.ok() && *replaced->Find(device) == hash && replaced->entries().size() == file->entries().size());
    const auto without = sluice::PasswordFile::Parse(sluice::WithoutPassword(text, device));
    Check(without.ok() && without->Find(device) == nullptr && without->entries().size() + 1 == file->entries().size());
  }
  return 0;
}
