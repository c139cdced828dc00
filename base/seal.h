// AES-256-GCM for what names people, on disk only; the wire has TLS (architecture: personal payloads).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/item.h"

namespace sluice {

// Thread-safe. One key per epoch, HKDF-SHA256(master key, salt = epoch id, info = "sluice seal v1"); the 96-bit nonce is
// `domain` (which file family seals: journal 1, outbox 2) and the seal counter, so that no nonce repeats under one key.
class Sealer {
 public:
  static constexpr size_t kKeyBytes = 32;
  static constexpr size_t kOverhead = 12 + 16;   // nonce, tag

  explicit Sealer(const std::array<uint8_t, kKeyBytes>& master_key);
  // Reads the key file (exactly 32 bytes); makes it, 0600, from the kernel's randomness if it does not exist.
  static absl::StatusOr<Sealer> FromFile(const std::string& path);

  // nonce || ciphertext || tag. `counter` must never repeat for (epoch, domain).
  std::string Seal(const EpochId& epoch, uint32_t domain, uint64_t counter, std::string_view associated,
                   std::string_view plain) const;
  // DataLoss if it does not verify.
  absl::StatusOr<std::string> Open(const EpochId& epoch, std::string_view associated, std::string_view sealed) const;

 private:
  std::array<uint8_t, kKeyBytes> master_key_;
};

}  // namespace sluice
