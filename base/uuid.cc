#include "base/uuid.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

void SetVersion(Id128& id, uint8_t version) {
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0F) | (version << 4));
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3F) | 0x80);
}

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
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(name.data()), name.size(), digest);
  Id128 id;
  std::memcpy(id.bytes.data(), digest, id.bytes.size());
  SetVersion(id, 8);
  return id;
}

Id128 Uuid5Of(const Id128& name_space, std::string_view name) {
  std::string input(name_space.View());
  input.append(name);
  uint8_t digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const uint8_t*>(input.data()), input.size(), digest);
  Id128 id;
  std::memcpy(id.bytes.data(), digest, id.bytes.size());
  SetVersion(id, 5);
  return id;
}

}  // namespace sluice
