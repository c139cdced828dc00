// The picture of `sluicectl watch`. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "gateway/ctl/watch_model.h"

namespace sluice::ctl {

struct ScreenSize {
  size_t columns = 80, rows = 24;
};

// At most `size.rows` lines of at most `size.columns` columns, each ended by '\n' but the last. The newest events fill
// what the rest leaves free. `colour`: with SGR sequences, ours alone: whatever came from outside is escaped.
std::string DrawScreen(const WatchModel& model, ScreenSize size, int64_t now_ms, bool colour);

// The same in one line, for what is no terminal.
std::string DrawLine(const WatchModel& model, int64_t now_ms);

}  // namespace sluice::ctl
