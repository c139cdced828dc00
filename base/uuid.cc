#include "base/uuid.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace sluice {
namespace {

void SetVersion(Id128& id, uint8_t version) {
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0F) | (version << 4));
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3F) | 0x80);
}

// One algorithm's context, kept: looking an algorithm up costs three times what such a short digest does.
class Digest {
 public:
  explicit Digest(const char* algorithm)
      : algorithm_(EVP_MD_fetch(nullptr, algorithm, nullptr)), context_(EVP_MD_CTX_new()) {
    // Every OpenSSL has both. Without them all events would have one name.
    if (algorithm_ == nullptr || context_ == nullptr) std::abort();
  }
  ~Digest() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(algorithm_);
  }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  // The first 16 bytes of the digest over both.
  Id128 Of(std::string_view first, std::string_view second) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_DigestInit_ex2(context_, algorithm_, nullptr);
    EVP_DigestUpdate(context_, first.data(), first.size());
    EVP_DigestUpdate(context_, second.data(), second.size());
    EVP_DigestFinal_ex(context_, digest, nullptr);
    Id128 id;
    std::memcpy(id.bytes.data(), digest, id.bytes.size());
    return id;
  }

 private:
  EVP_MD* const algorithm_;
  EVP_MD_CTX* const context_;
};

}  // namespace

Id128 NewUuid7(int64_t unix_ms, Random& random) {
  Id128 id;
  random.Fill(id.bytes);
  const auto ms = static_cast<uint64_t>(std::max<int64_t>(unix_ms, 0));
  for (int i = 0; i < 6; ++i) id.bytes[i] = static_cast<uint8_t>(ms >> (8 * (5 - i)));
  SetVersion(id, 7);
  return id;
}

Id128 Uuid8Of(std::string_view name) {
  thread_local Digest sha256("SHA256");
  Id128 id = sha256.Of(name, {});
  SetVersion(id, 8);
  return id;
}

Id128 Uuid5Of(const Id128& name_space, std::string_view name) {
  thread_local Digest sha1("SHA1");
  Id128 id = sha1.Of(name_space.View(), name);
  SetVersion(id, 5);
  return id;
}

}  // namespace sluice
