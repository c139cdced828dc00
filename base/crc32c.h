// CRC-32C (Castagnoli, RFC 3720 appendix B.4), by the CPU's instruction where it has one.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

// Crc of everything so far, then `data`; begin with 0.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view data);
inline uint32_t Crc32c(std::string_view data) { return ExtendCrc32c(0, data); }

}  // namespace sluice
