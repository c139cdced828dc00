#include "base/seal_key.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/status.h"

namespace sluice {
namespace {

using Key = std::array<uint8_t, Sealer::kKeyBytes>;

// seal.spare: magic (8), CRC-32C of what follows (4, little endian), HMAC-SHA256 of the key in seal.key under
// "sluice seal check v1" (32), the next key (32).
constexpr std::string_view kMagic = "SLUICEK\n";
constexpr std::string_view kCheckText = "sluice seal check v1";
constexpr size_t kSpareBytes = 8 + 4 + 32 + 32;

struct Spare {
  Key check{};
  Key next{};
};

std::string_view View(const Key& key) { return {reinterpret_cast<const char*>(key.data()), key.size()}; }

Key ToKey(std::string_view bytes) {
  Key key{};
  std::memcpy(key.data(), bytes.data(), key.size());
  return key;
}

Key CheckOf(const Key& key) {
  Key out{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const uint8_t*>(kCheckText.data()),
       kCheckText.size(), out.data(), &size);
  return out;
}

std::string Encode(const Spare& spare) {
  std::string body(View(spare.check));
  body += View(spare.next);
  const uint32_t crc = Crc32c(body);
  std::string out(kMagic);
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(crc >> (8 * i)));
  return out + body;
}

std::optional<Spare> ReadSpare(const std::string& path) {
  const absl::StatusOr<std::string> content = ReadFile(path, kSpareBytes);
  if (!content.ok() || content->size() != kSpareBytes || !content->starts_with(kMagic)) return std::nullopt;
  const Spare spare{ToKey(content->substr(12, 32)), ToKey(content->substr(44, 32))};
  if (Encode(spare) != *content) return std::nullopt;
  return spare;
}

// Others must not read a key; and one that its owner cannot read is mended rather than given up. True: others could.
bool MakePrivate(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || (info.st_mode & 07777) == 0600) return false;
  return chmod(path.c_str(), 0600) == 0 && (info.st_mode & 0077) != 0;
}

// Empty: it could not be moved.
std::string SetAside(const std::string& path) {
  struct stat info {};
  for (int n = 1; n < 10'000; ++n) {
    const std::string aside = StrCat(path, ".bad-", n);
    if (lstat(aside.c_str(), &info) == 0) continue;
    PosixFileSystem files;
    if (!files.Rename(path, aside).ok()) return "";
    return aside;
  }
  return "";
}

bool Exists(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

}  // namespace

SealKey SealKey::Open(const std::string& folder, Random& random) {
  SealKey out(folder);
  out.was_exposed_ = MakePrivate(out.key_path());
  out.was_exposed_ |= MakePrivate(out.spare_path());
  absl::StatusOr<std::string> content = ReadFile(out.key_path(), Sealer::kKeyBytes);
  const std::optional<Spare> spare = ReadSpare(out.spare_path());
  std::string wrong;
  if (!content.ok()) {
    wrong = MessageOf(content.status());
  } else if (content->size() != Sealer::kKeyBytes) {
    wrong = StrCat(out.key_path(), " must hold exactly ", Sealer::kKeyBytes, " bytes, it has ", content->size());
  } else if (content->find_first_not_of('\0') == std::string::npos) {
    wrong = StrCat(out.key_path(), " holds zeros");
  } else {
    out.key_ = ToKey(*content);
    const bool checked = !spare || CheckOf(out.key_) == spare->check;
    // An earlier start put the next key in its place and had no room to write its spare.
    if (checked || out.key_ == spare->next) {
      out.kept_ = out.key_written_ = true;
      out.spare_written_ = spare && checked;
    } else {
      wrong = StrCat(out.key_path(), " does not hold the key that was there");
    }
  }
  if (content.ok()) OPENSSL_cleanse(content->data(), content->size());
  if (!wrong.empty()) {
    // Neither file: the first start of this folder.
    if (Exists(out.key_path()) || spare) out.Replace(wrong);
    if (spare) {
      out.key_ = spare->next;
      out.kept_ = true;
    } else {
      random.Fill(out.key_);
    }
  }
  out.sealer_ = std::make_unique<Sealer>(out.key_);
  out.Keep(random);
  return out;
}

void SealKey::Replace(std::string_view why) {
  replaced_ = true;
  problem_ = why;
  if (Exists(key_path())) set_aside_ = SetAside(key_path());
}

bool SealKey::Keep(Random& random) {
  if (!key_written_) {
    key_written_ = WriteFileAtomically(key_path(), View(key_), 0600).ok();
    // Until it is, the spare must stay: it is where the key is.
    kept_ |= key_written_;
  }
  if (key_written_ && !spare_written_) {
    Spare spare{CheckOf(key_), {}};
    random.Fill(spare.next);
    spare_written_ = WriteFileAtomically(spare_path(), Encode(spare), 0600).ok();
    if (!spare_written_ && !ReadSpare(spare_path()) && Exists(spare_path()) && !SetAside(spare_path()).empty()) {
      spare_written_ = WriteFileAtomically(spare_path(), Encode(spare), 0600).ok();
    }
  }
  sealer_->SetMaySeal(kept_);
  return key_written_ && spare_written_;
}

}  // namespace sluice
