#include "gateway/ctl/escape.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::ctl {
namespace {

TEST(EscapeTest, LeavesReadableTextAlone) {
  for (const char* text : {"", "vm-0001", "{\"a\":\"b\\n\"}", "Zürich — 冷蔵庫 🥤"}) EXPECT_EQ(EscapeForTerminal(text), text);
}

TEST(EscapeTest, ShowsWhatWouldCommandATerminal) {
  EXPECT_EQ(EscapeForTerminal("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(EscapeForTerminal("a\nb\r\tc"), "a\\nb\\r\\tc");
  EXPECT_EQ(EscapeForTerminal(std::string("\0\x7f", 2)), "\\x00\\x7f");
  EXPECT_EQ(EscapeForTerminal("\u009b31m"), "\\u{9b}31m") << "the 8-bit CSI";
  EXPECT_EQ(EscapeForTerminal("\u202egnp.exe\u200b"), "\\u{202e}gnp.exe\\u{200b}") << "reordering and hiding";
}

TEST(EscapeTest, ShowsBytesThatAreNotUtf8) {
  EXPECT_EQ(EscapeForTerminal("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(EscapeForTerminal("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(EscapeForTerminal("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
  EXPECT_EQ(EscapeForTerminal("ok\xe2\x82"), "ok\\xe2\\x82") << "cut off";
  EXPECT_EQ(EscapeForTerminal("\x9b" "2J"), "\\x9b2J") << "a bare C1 byte";
}

TEST(EscapeTest, MeasuresColumns) {
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("ü"), 1u);
  EXPECT_EQ(DisplayWidth("u\u0308"), 1u);
  EXPECT_EQ(DisplayWidth("冷蔵"), 4u);
}

TEST(EscapeTest, TruncatesBetweenCharacters) {
  EXPECT_EQ(Truncate("abcdef", 6), "abcdef");
  EXPECT_EQ(Truncate("abcdef", 4), "abc…");
  EXPECT_EQ(Truncate("冷蔵庫", 4), "冷…");
  EXPECT_EQ(Truncate("abc", 0), "");
}

}  // namespace
}  // namespace sluice::ctl
