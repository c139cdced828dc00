// Text that a device, a service or the network chose, made fit for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace sluice::ctl {

// One line of printable UTF-8: control characters (C0, DEL, C1), bytes that are not UTF-8, line separators and the
// characters that reorder or hide text (bidirectional controls, zero-width ones) become \n, \t, \xNN or \u{NNNN}. So no
// terminal command and no new line can come through. A backslash stays as it is: JSON must stay readable.
std::string EscapeForTerminal(std::string_view text);

// Columns that an escaped text takes: East Asian wide characters and emoji take two, combining marks none.
size_t DisplayWidth(std::string_view escaped);

// At most `width` columns; what is cut off is shown as "…". Never cuts an UTF-8 sequence.
std::string Truncate(std::string_view escaped, size_t width);

}  // namespace sluice::ctl
