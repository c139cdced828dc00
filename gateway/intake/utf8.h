// UTF-8 (RFC 3629): what may go into a protobuf string, and how the rest is shown.
#pragma once

#include <string>
#include <string_view>

namespace sluice::intake {

// Well-formed: no overlong forms, no surrogates, nothing above U+10FFFF. Eight bytes at a time where all is ASCII.
bool IsUtf8(std::string_view text);
// Well-formed and printable on one line: no control characters (U+0000–U+001F, U+007F).
bool IsPlainText(std::string_view text);
// At most `limit` bytes; what is not well-formed, and control characters, become '?'.
std::string Printable(std::string_view text, size_t limit);

}  // namespace sluice::intake
