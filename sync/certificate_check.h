// What this machine can tell about its own certificate before anybody is asked. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::sync {

// Why the chain `certificate_pem` (own certificate first) does not lead to one of `authorities_pem` at `now_ms`, in OpenSSL's words;
// empty if it does. Only a hint: the cloud may believe others than we do.
std::string DoubtAbout(std::string_view certificate_pem, std::string_view authorities_pem, int64_t now_ms);

}  // namespace sluice::sync
