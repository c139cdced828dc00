#include "base/seal.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "base/strings.h"

namespace sluice {
namespace {

std::array<uint8_t, Sealer::kKeyBytes> KeyOf(uint8_t fill) {
  std::array<uint8_t, Sealer::kKeyBytes> key;
  key.fill(fill);
  return key;
}

EpochId EpochOf(uint8_t fill) {
  EpochId epoch;
  epoch.bytes.fill(fill);
  return epoch;
}

TEST(SealTest, OpensWhatItSealed) {
  const Sealer sealer(KeyOf(1));
  for (size_t size : {0u, 1u, 15u, 16u, 17u, 5000u}) {
    const std::string plain(size, 'p');
    const std::string sealed = sealer.Seal(EpochOf(2), 1, 77, "key", plain);
    EXPECT_EQ(sealed.size(), size + Sealer::kOverhead);
    EXPECT_EQ(sealer.Open(EpochOf(2), "key", sealed).value_or("?"), plain);
  }
}

// Made with an independent implementation (Python's cryptography: HKDF-SHA256, AES-256-GCM).
TEST(SealTest, TheBytesAreWhatTheHeaderSays) {
  const Sealer sealer(KeyOf(1));
  const std::string sealed = sealer.Seal(EpochOf(2), 1, 77, "key", "plain text");
  EXPECT_EQ(absl::BytesToHexString(AsAbsl(sealed)),
            "010000004d0000000000000076af3b7a70408e55f027a1a434c159af94f1d9d9e269cdb008c6");
}

TEST(SealTest, AnythingChangedDoesNotOpen) {
  const Sealer sealer(KeyOf(1));
  const std::string sealed = sealer.Seal(EpochOf(2), 1, 77, "key", "plain text");
  EXPECT_TRUE(absl::IsDataLoss(sealer.Open(EpochOf(3), "key", sealed).status()));
  EXPECT_TRUE(absl::IsDataLoss(sealer.Open(EpochOf(2), "kez", sealed).status()));
  EXPECT_TRUE(absl::IsDataLoss(Sealer(KeyOf(9)).Open(EpochOf(2), "key", sealed).status()));
  EXPECT_TRUE(absl::IsDataLoss(sealer.Open(EpochOf(2), "key", sealed.substr(0, 20)).status()));
  for (size_t i = 0; i < sealed.size(); ++i) {
    std::string bad = sealed;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_TRUE(absl::IsDataLoss(sealer.Open(EpochOf(2), "key", bad).status())) << i;
  }
}

}  // namespace
}  // namespace sluice
