// Aligned columns for people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::ctl {

// Cells may hold anything: they are escaped here (escape.h), so a table is always safe to print.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Missing cells are empty, surplus ones an error of the caller and left out.
  void Add(const std::vector<std::string>& cells);
  bool empty() const { return rows_.empty(); }

  // A title line and a line for each row, each ending in '\n', two blanks between columns, none at the end of a line.
  // A column that is empty in every row is left out.
  std::string ToString() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace sluice::ctl
