#include "devices/json_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "tests/devices/json_recorder.h"

namespace sluice::devices {
namespace {

std::string Told(std::string_view text) {
  JsonRecorder recorder;
  return ReadJson(text, recorder) ? recorder.told : StrCat("! ", recorder.error_byte, " ", recorder.error);
}

TEST(JsonReaderTest, TellsWhatItReads) {
  EXPECT_EQ(Told("{}"), "{ } ");
  EXPECT_EQ(Told(" [ ] \n"), "[ ] ");
  EXPECT_EQ(Told("{\"a\":1,\"b\":[true,false,null,-2,2.5,\"x\"],\"c\":{}}"),
            "{ k1:a u1 k1:b [ true false null i-2 f0x1.4p+1 s1:x ] k1:c { } } ");
  EXPECT_EQ(Told("7"), "u7 ");
}

TEST(JsonReaderTest, UndoesEscapes) {
  EXPECT_EQ(Told("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\""), "s10:a\"\\/\b\f\n\r\tz ");
  EXPECT_EQ(Told("\"\\u0041\\u00fc\\u20AC\\ud83d\\ude00\""), "s10:A\u00fc\u20ac\U0001F600 ");
  EXPECT_EQ(Told("{\"\\u0061\\u0000\":\"b\"}"), std::string("{ k2:a\0 s1:b } ", 15));
}

TEST(JsonReaderTest, TakesNumbersAsTheyAre) {
  EXPECT_EQ(Told("18446744073709551615"), "u18446744073709551615 ");
  EXPECT_EQ(Told("18446744073709551616"), "f0x1p+64 ");
  EXPECT_EQ(Told("-9223372036854775808"), "i-9223372036854775808 ");
  EXPECT_EQ(Told("-9223372036854775809"), "f-0x1p+63 ");
  EXPECT_EQ(Told("1E2"), "f0x1.9p+6 ");
  EXPECT_EQ(Told("1e-400"), "f0x0p+0 ");
  EXPECT_EQ(Told("-0"), "i0 ");
}

TEST(JsonReaderTest, SaysWhereAndWhy) {
  EXPECT_EQ(Told(""), "! 1 the text ends too early");
  EXPECT_EQ(Told("\xEF\xBB\xBF[1]"), "! 1 begins with a byte order mark");
  EXPECT_EQ(Told("{\"a\":1"), "! 7 the text ends too early");
  EXPECT_EQ(Told("{\"a\":1}x"), "! 8 something stands behind the value");
  EXPECT_EQ(Told("{\"a\" 1}"), "! 6 expected :");
  EXPECT_EQ(Told("{\"a\":1,}"), "! 8 expected a name in quotes");
  EXPECT_EQ(Told("[1,]"), "! 4 expected a value");
  EXPECT_EQ(Told("[1}"), "! 3 expected , or ]");
  EXPECT_EQ(Told("01"), "! 2 a number begins with 0");
  EXPECT_EQ(Told("1."), "! 3 the text ends too early");
  EXPECT_EQ(Told("-x"), "! 2 expected a digit");
  EXPECT_EQ(Told("1e999"), "! 1 the number is too large");
  EXPECT_EQ(Told("\"\t\""), "! 2 a control character in a text");
  EXPECT_EQ(Told("\"\\x\""), "! 3 no such escape");
  EXPECT_EQ(Told("\"\\ud800\""), "! 8 half of a surrogate pair");
  EXPECT_EQ(Told("\"\\udc00\""), "! 3 half of a surrogate pair");
  EXPECT_EQ(Told("\"\xff\""), "! 2 invalid UTF-8");
  EXPECT_EQ(Told("\"\xed\xa0\x80\""), "! 2 invalid UTF-8");
  EXPECT_EQ(Told(std::string_view("{}\0{}", 5)), "! 3 NUL");
  EXPECT_EQ(Told(std::string_view("\"a\0\"", 4)), "! 3 NUL");
  EXPECT_EQ(Told(std::string(65, '[')), "! 65 nested too deep");
}

TEST(JsonReaderTest, StopsWhenTheHandlerSaysSo) {
  struct Stops : JsonRecorder {
    bool key(std::string_view) { return false; }
  } stops;
  EXPECT_FALSE(ReadJson("{\"a\":1}", stops));
  EXPECT_EQ(stops.told, "{ ");
  EXPECT_EQ(stops.error, "");
}

// A text of a few levels, mostly right.
std::string Invent(Random& dice, int depth) {
  static constexpr const char* kAtoms[] = {"true", "false", "null", "0", "-0", "1", "-17", "3.25", "-1e3", "1E+2", "0.1", "1e-7",
                                           "18446744073709551615", "18446744073709551616", "-9223372036854775809", "1e308",
                                           "123456789012345678901234567890", "\"\"", "\"abc\"", "\"\\u00fc\"", "\"\u20ac\"",
                                           "\"\\ud83d\\ude00\"", "\"\\n\\t\"", "\"a\\\\b\""};
  const auto space = [&] { return dice.Below(4) == 0 ? " \n" : ""; };
  if (depth == 0 || dice.Below(3) == 0) return kAtoms[dice.Below(std::size(kAtoms))];
  const bool object = dice.Below(2) == 0;
  std::string text = object ? "{" : "[";
  for (uint64_t i = 0, count = dice.Below(4); i < count; ++i) {
    text += StrCat(i > 0 ? "," : "", space());
    if (object) text += StrCat("\"k", dice.Below(9), "\"", space(), ":", space());
    text += StrCat(Invent(dice, depth - 1), space());
  }
  return text + (object ? "}" : "]");
}

// Against another implementation: the same verdict and the same events, for texts that are right and for what is left of them.
TEST(JsonReaderTest, AgreesWithNlohmann) {
  SeededRandom dice(7);
  constexpr std::string_view kBytes = "{}[]\",:\\0123456789+-.eEtrufalsn \n\t/\x80\xc3\xa9\xe2\x82\xed\xf0\x9f\x01";
  int right = 0, wrong = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text = Invent(dice, 4);
    for (uint64_t harm = dice.Below(3); harm > 0 && !text.empty(); --harm) {
      const size_t at = dice.Below(text.size());
      switch (dice.Below(4)) {
        case 0: text[at] = kBytes[dice.Below(kBytes.size())]; break;
        case 1: text.erase(at, 1 + dice.Below(3)); break;
        case 2: text.insert(at, 1, kBytes[dice.Below(kBytes.size())]); break;
        default: text.resize(at); break;
      }
    }
    JsonRecorder ours, theirs;
    const bool good = ReadJson(text, ours);
    ASSERT_EQ(good, nlohmann::json::sax_parse(text, &theirs)) << text << "\nours: " << ours.error << "\ntheirs: " << theirs.error;
    if (good) {
      ASSERT_EQ(ours.told, theirs.told) << text;
    } else {
      // In "01" they tell of a 0 before they see what is wrong.
      ASSERT_TRUE(theirs.told.starts_with(ours.told)) << text << "\n" << ours.told << "\n" << theirs.told;
    }
    ++(good ? right : wrong);
  }
  EXPECT_GT(right, 50'000);
  EXPECT_GT(wrong, 50'000);
}

}  // namespace
}  // namespace sluice::devices
