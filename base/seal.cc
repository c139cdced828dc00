#include "base/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>
#include <memory>

#include "base/status.h"

namespace sluice {
namespace {

using Key = std::array<uint8_t, Sealer::kKeyBytes>;
constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;

Key HmacSha256(std::string_view key, std::string_view data) {
  Key out{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const uint8_t*>(data.data()),
       data.size(), out.data(), &size);
  return out;
}

std::string_view View(const Key& key) { return {reinterpret_cast<const char*>(key.data()), key.size()}; }

// HKDF of RFC 5869 for one block of output: extract, then expand with counter 1.
Key Derive(const Key& master, const EpochId& epoch) {
  const Key extracted = HmacSha256(epoch.View(), View(master));
  return HmacSha256(View(extracted), std::string_view("sluice seal v1\x01", 15));
}

// The last key of each thread: nearly all calls are for the running epoch.
const Key& KeyOf(const Key& master, const EpochId& epoch) {
  struct Last {
    Key master{}, key{};
    EpochId epoch;
    bool set = false;
  };
  thread_local Last last;
  if (!last.set || last.epoch != epoch || last.master != master) last = {master, Derive(master, epoch), epoch, true};
  return last.key;
}

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
EVP_CIPHER_CTX* Context() {
  thread_local std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context(EVP_CIPHER_CTX_new());
  return context.get();
}

const uint8_t* Bytes(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

}  // namespace

Sealer::Sealer(const std::array<uint8_t, kKeyBytes>& master_key) : master_key_(master_key) {}

std::string Sealer::Seal(const EpochId& epoch, uint32_t domain, uint64_t counter, std::string_view associated,
                         std::string_view plain) const {
  std::string out(kOverhead + plain.size(), '\0');
  auto* at = reinterpret_cast<uint8_t*>(out.data());
  for (int i = 0; i < 4; ++i) at[i] = static_cast<uint8_t>(domain >> (8 * i));
  for (int i = 0; i < 8; ++i) at[4 + i] = static_cast<uint8_t>(counter >> (8 * i));
  EVP_CIPHER_CTX* context = Context();
  int size = 0;
  EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nullptr, KeyOf(master_key_, epoch).data(), at);
  EVP_EncryptUpdate(context, nullptr, &size, Bytes(associated), static_cast<int>(associated.size()));
  EVP_EncryptUpdate(context, at + kNonceBytes, &size, Bytes(plain), static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(context, at + kNonceBytes + size, &size);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, kTagBytes, at + kNonceBytes + plain.size());
  return out;
}

absl::StatusOr<std::string> Sealer::Open(const EpochId& epoch, std::string_view associated,
                                         std::string_view sealed) const {
  if (sealed.size() < kOverhead) return absl::DataLossError("sealed bytes are too short");
  std::string plain(sealed.size() - kOverhead, '\0');
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  EVP_CIPHER_CTX* context = Context();
  int size = 0;
  EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nullptr, KeyOf(master_key_, epoch).data(), Bytes(sealed));
  EVP_DecryptUpdate(context, nullptr, &size, Bytes(associated), static_cast<int>(associated.size()));
  auto* out = reinterpret_cast<uint8_t*>(plain.data());
  EVP_DecryptUpdate(context, out, &size, Bytes(sealed) + kNonceBytes, static_cast<int>(plain.size()));
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data());
  if (EVP_DecryptFinal_ex(context, out + size, &size) != 1) {
    return absl::DataLossError("sealed bytes do not verify: damaged, or another key");
  }
  return plain;
}

}  // namespace sluice
