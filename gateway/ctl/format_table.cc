#include "gateway/ctl/format_table.h"

#include <algorithm>

#include "gateway/ctl/escape.h"

namespace sluice::ctl {

void Table::Add(const std::vector<std::string>& cells) {
  std::vector<std::string> row(columns_.size());
  for (size_t i = 0; i < std::min(cells.size(), row.size()); ++i) row[i] = EscapeForTerminal(cells[i]);
  rows_.push_back(std::move(row));
}

std::string Table::ToString() const {
  std::vector<size_t> widths(columns_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::vector<size_t> shown;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (widths[i] == 0 && !rows_.empty()) continue;
    widths[i] = std::max(widths[i], DisplayWidth(columns_[i].title));
    shown.push_back(i);
  }

  std::string out;
  const auto line = [&](auto cell_of) {
    std::string text;
    for (size_t i : shown) {
      const std::string& cell = cell_of(i);
      const std::string padding(widths[i] - DisplayWidth(cell), ' ');
      if (!text.empty()) text += "  ";
      text += columns_[i].align == Align::kRight ? padding + cell : cell + padding;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + '\n';
  };
  line([&](size_t i) -> const std::string& { return columns_[i].title; });
  for (const auto& row : rows_) {
    line([&](size_t i) -> const std::string& { return row[i]; });
  }
  return out;
}

}  // namespace sluice::ctl
