#include "devices/lines/profile.h"

#include <string>

#include "base/strings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::lines {
namespace {

using ::testing::HasSubstr;

const char kGood[] = R"(name = "good"
[line]
pattern = '(?P<w>[0-9]+) (?P<u>kg|g)'
kind = "telemetry"
[fields]
values.weight = { from = "w", unit_from = "u" }
[units]
g = { unit = "kg", factor = 0.001 }
)";

std::string ErrorOf(const std::string& toml) {
  const auto profile = ParseProfile(toml, "p.toml");
  return profile.ok() ? "ok" : std::string(MessageOf(profile.status()));
}
// kGood with one piece put in another's place.
std::string With(const std::string& piece, const std::string& instead) {
  std::string text = kGood;
  const size_t at = text.find(piece);
  EXPECT_NE(at, std::string::npos) << piece;
  return text.replace(at, piece.size(), instead);
}

TEST(ProfileTest, AGoodProfileIsRead) {
  const auto profile = ParseProfile(kGood, "p.toml");
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(profile->name, "good");
  EXPECT_EQ(profile->serial.baud, 9600);
  EXPECT_EQ(profile->fields.size(), 1U);
  EXPECT_EQ(profile->fields[0].value_name, "weight");
  EXPECT_EQ(profile->units.at("g").factor, 0.001);
}

TEST(ProfileTest, ErrorsNameFileLineKeyAndWhatIsAllowed) {
  EXPECT_EQ(ErrorOf(With("kind = \"telemetry\"", "kind = \"dance\"")),
            "p.toml:4: line.kind: must be one of status, telemetry, alarm, sale, refill, stock-count, price-change, punch, break, command-result");
  EXPECT_EQ(ErrorOf(StrCat(kGood, "[serial]\nbaud = 9601\n")),
            "p.toml:10: serial.baud: baud: must be one of 300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 500000, 576000, 921600");
  EXPECT_EQ(ErrorOf(StrCat(kGood, "[serial]\nparity = \"mark\"\n")), "p.toml:10: serial.parity: must be one of none, even, odd");
  EXPECT_EQ(ErrorOf(StrCat(kGood, "[serial]\ndata_bits = 9\n")), "p.toml:10: serial.data_bits: must be an integer from 5 to 8");
  EXPECT_EQ(ErrorOf(StrCat(kGood, "[serial]\nbaudrate = 9600\n")),
            "p.toml:10: serial.baudrate: unknown; allowed are baud, data_bits, parity, stop_bits, flow, mask_bit7, rs485, rs485_rts_on_send, rs485_delay_before_ms, rs485_delay_after_ms");
  EXPECT_THAT(ErrorOf(StrCat("x = 1\n", kGood)), HasSubstr("p.toml:1: x: unknown; allowed are name, serial"));
}

TEST(ProfileTest, WhatCanNeverWorkIsRefused) {
  EXPECT_THAT(ErrorOf(With("name = \"good\"", "")), HasSubstr("name: missing"));
  EXPECT_THAT(ErrorOf(With("name = \"good\"", "name = 3")), HasSubstr("name: must be text"));
  EXPECT_THAT(ErrorOf(With("(?P<u>kg|g)", "(?P<u>kg|g")), HasSubstr("line.pattern: is no regular expression of RE2"));
  EXPECT_THAT(ErrorOf(With("[0-9]+", "\\C+")), HasSubstr("\\C is not allowed"));
  EXPECT_THAT(ErrorOf(With("from = \"w\"", "from = \"weight\"")), HasSubstr("the pattern has no group weight; it has u, w"));
  EXPECT_THAT(ErrorOf(With("values.weight = { from = \"w\", unit_from = \"u\" }", "price = { from = \"w\" }\nlevel = 3")),
              HasSubstr("fields.level: must be { from"));
  EXPECT_THAT(ErrorOf(With("values.weight", "weight")), HasSubstr("fields.weight: unknown; allowed are values.<name>"));
  EXPECT_THAT(ErrorOf(With("from = \"w\", ", "")), HasSubstr("fields.values.weight: needs either from or constant"));
  EXPECT_THAT(ErrorOf(With("[units]\ng = { unit = \"kg\", factor = 0.001 }", "")), HasSubstr("unit_from: needs a table [units]"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[framing]\nend = \"\"\n")), HasSubstr("framing.end: must name at least one byte"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[framing]\nlength = 4\n")), HasSubstr("framing.start: missing"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[framing]\nstart = \"x\"\nlength = 4\nend = \"y\"\n")), HasSubstr("framing.end: not allowed beside length"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[bits]\nx = { from = \"w\" }\n")), HasSubstr("bits.x: needs from and mask"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[bits]\nx = { from = \"w\", mask = 256 }\n")), HasSubstr("bits.x.mask: must be an integer from 1 to 255"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[bits]\nx = []\n")), HasSubstr("bits.x: must name at least one group"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[bits]\nx = { from = \"no\", mask = 1 }\n")), HasSubstr("the pattern has no group no"));
  EXPECT_THAT(ErrorOf(With("unit_from = \"u\"", "factor_from = [\"x\"]")), HasSubstr("factor_from: needs a table [factors.x]"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[factors]\nx = 1\n")), HasSubstr("factors.x: must be a table"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[checksum]\ntype = \"xor-hex\"\nover = \"w\"\nvalue = \"w\"\nplus = 2\n")),
              HasSubstr("checksum.plus: only allowed with type sum7"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[checksum]\ntype = \"crc\"\n")), HasSubstr("checksum.type: must be one of xor-hex"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[emit]\nmin_change = -1\n")), HasSubstr("emit.min_change: must be 0 or more"));
  EXPECT_THAT(ErrorOf(StrCat(kGood, "[poll]\nevery_ms = 100\n")), HasSubstr("poll.send: missing"));
  EXPECT_THAT(ErrorOf("name = \"x\"\n[line]\nformat = \"events\"\nkind = \"sale\"\n"), HasSubstr("line.kind: not allowed with format events"));
  EXPECT_THAT(ErrorOf("name = \"x\"\n[line]\nformat = \"json\"\nkind = \"sale\"\n"), HasSubstr("fields: missing"));
  EXPECT_THAT(ErrorOf("name = \"x\"\nline = 3\n"), HasSubstr("line: must be a table"));
  EXPECT_THAT(ErrorOf("name = \n"), HasSubstr("p.toml:1: no valid TOML"));
  EXPECT_THAT(ErrorOf(std::string(70000, '#')), HasSubstr("larger than 65536 bytes"));
}

}  // namespace
}  // namespace sluice::lines
