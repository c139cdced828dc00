#include <array>
#include <charconv>

#include "tests/judge/lines.h"
#include "tests/judge/readers.h"

namespace sluice::judge {
namespace {

bool Number(std::string_view text, uint64_t& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

bool Ranges(std::string_view text, std::vector<std::pair<uint64_t, uint64_t>>& ranges) {
  ranges.clear();
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    const size_t dash = one.find('-');
    uint64_t first = 0;
    uint64_t last = 0;
    if (dash == std::string_view::npos || !Number(one.substr(0, dash), first) || !Number(one.substr(dash + 1), last) ||
        first > last) {
      return false;
    }
    ranges.emplace_back(first, last);
  }
  return true;
}

// The first eight columns; count tells how many there are.
struct Columns {
  explicit Columns(std::string_view line) {
    while (count < at.size()) {
      const size_t tab = line.find('\t');
      at[count++] = line.substr(0, tab);
      if (tab == std::string_view::npos) return;
      line.remove_prefix(tab + 1);
    }
  }
  std::array<std::string_view, 8> at;
  size_t count = 0;
};

}  // namespace

bool ReadLedger(const std::string& path, Tally& tally, std::string& error) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  const auto take = [&](std::string_view line) {
    const Columns column(line);
    const std::string_view what = column.at[0];
    const std::string_view device = column.at[1];
    uint64_t boot = 0;
    uint64_t seq = 0;
    if (what == "D") {
      if (column.count < 3) return false;
      tally.SourceDevice(device, column.at[2]);
      return true;
    }
    if (column.count < 4 || device.empty() || !Number(column.at[2], boot)) return false;
    if (what == "R") {
      if (!Ranges(column.at[3], ranges)) return false;
      tally.Receipt(device, boot, ranges);
      return true;
    }
    if (!Number(column.at[3], seq)) return false;
    if (what == "S") {
      if (column.count < 5) return false;
      const Kind kind = KindOf(column.at[4]);
      tally.Sent(device, boot, seq, kind, column.count < 8 ? kNotTold : DetailOf(kind, column.at[7]));
    } else if (what == "P") {
      tally.Puback(device, boot, seq);
    } else if (what == "N") {
      tally.Unheard(device, boot, seq);
    } else if (what == "X") {
      tally.Refused(device, boot, seq);
    } else {
      return false;
    }
    return true;
  };
  bool torn = false;
  const bool read = ForEachLine(
      path,
      [&](std::string_view line) {
        // A killed simulator leaves half a line, and its successor begins a new one: torn too, in the middle of the file.
        if (!line.empty() && !take(line)) ++tally.notes.torn_lines;
      },
      torn, error);
  if (torn) ++tally.notes.torn_lines;
  return read;
}

}  // namespace sluice::judge
