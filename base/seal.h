// AES-256-GCM for what names people, on disk only; the wire has TLS (architecture: personal payloads).
#pragma once

#include <array>
#include <atomic>
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
  Sealer(const Sealer&) = delete;
  Sealer& operator=(const Sealer&) = delete;

  // False: the key is not on the disk yet, and what is sealed with it would be lost with this process. Seal works all the
  // same; who keeps what it returns asks first.
  bool may_seal() const { return may_seal_.load(std::memory_order_relaxed); }
  void SetMaySeal(bool may) { may_seal_.store(may, std::memory_order_relaxed); }

  // nonce || ciphertext || tag. `counter` must never repeat for (epoch, domain).
  std::string Seal(const EpochId& epoch, uint32_t domain, uint64_t counter, std::string_view associated,
                   std::string_view plain) const;
  // DataLoss if it does not verify.
  absl::StatusOr<std::string> Open(const EpochId& epoch, std::string_view associated, std::string_view sealed) const;

 private:
  const std::array<uint8_t, kKeyBytes> master_key_;
  std::atomic<bool> may_seal_{true};
};

}  // namespace sluice
