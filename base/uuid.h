// UUIDs of RFC 9562: where event ids and bus event ids come from.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/item.h"
#include "base/random.h"

namespace sluice {

// Time-ordered (section 5.7): 48 bits of Unix milliseconds, the rest random.
Id128 NewUuid7(int64_t unix_ms, Random& random);
// The first 128 bits of SHA-256 over `name` with version 8 (section 5.8) and variant set.
Id128 Uuid8Of(std::string_view name);
// SHA-1 over namespace and name (section 5.5).
Id128 Uuid5Of(const Id128& name_space, std::string_view name);

}  // namespace sluice
