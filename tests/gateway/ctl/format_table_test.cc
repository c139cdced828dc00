#include "gateway/ctl/format_table.h"

#include <gtest/gtest.h>

namespace sluice::ctl {
namespace {

TEST(FormatTableTest, AlignsColumns) {
  Table table({{"DEVICE"}, {"COUNT", Table::Align::kRight}, {"STATE"}});
  table.Add({"vm-0001", "7", "online"});
  table.Add({"a", "12345678", ""});
  EXPECT_EQ(table.ToString(),
            "DEVICE      COUNT  STATE\n"
            "vm-0001         7  online\n"
            "a        12345678\n");
}

TEST(FormatTableTest, CountsColumnsNotBytes) {
  Table table({{"NAME"}, {"X"}});
  table.Add({"Kühlschrank", "1"});
  table.Add({"冷蔵庫", "2"});
  EXPECT_EQ(table.ToString(),
            "NAME         X\n"
            "Kühlschrank  1\n"
            "冷蔵庫       2\n");
}

TEST(FormatTableTest, EscapesCellsAndLeavesEmptyColumnsOut) {
  Table table({{"A"}, {"GONE"}, {"B"}});
  table.Add({"x\x1b[0m\n", "", "y"});
  EXPECT_EQ(table.ToString(),
            "A           B\n"
            "x\\x1b[0m\\n  y\n");
}

TEST(FormatTableTest, ShowsTheTitlesOfAnEmptyTable) {
  EXPECT_EQ(Table({{"A"}, {"B", Table::Align::kRight}}).ToString(), "A  B\n");
}

}  // namespace
}  // namespace sluice::ctl
