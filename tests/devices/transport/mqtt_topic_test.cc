#include "devices/transport/mqtt_topic.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace sluice::transport {
namespace {

TEST(MqttTopicTest, WildcardsMatchLevels) {
  const struct { const char* filter; const char* topic; bool matches; } kCases[] = {
      {"a/b", "a/b", true},          {"a/b", "a/b/c", false},     {"a/b", "a", false},        {"a/b", "a/bc", false},
      {"a/b", "A/b", false},         {"#", "a/b", true},          {"a/#", "a", true},         {"a/#", "a/", true},
      {"a/#", "a/b/c", true},        {"a/#", "ab", false},        {"a/#", "b", false},        {"/#", "/a", true},
      {"/#", "a", false},            {"+", "a", true},            {"+", "/a", false},         {"+", "a/b", false},
      {"/+", "/a", true},            {"+/+", "/a", true},         {"+/+", "a/", true},        {"a/+", "a/", true},
      {"a/+", "a", false},           {"a/+/c", "a/b/c", true},    {"a/+/c", "a//c", true},    {"a/+/c", "a/b/d", false},
      {"+/b/#", "a/b", true},        {"+/b/#", "a/b/c", true},    {"a/", "a", false},         {"a/", "a/", true},
      {"a", "a/", false},            {"/", "/", true},            {"/", "//", false},         {"//", "//", true},
      {"a//b", "a/b", false},        {"a b", "a b", true},
      // 4.7.2: wildcards at the beginning do not match $
      {"#", "$SYS/x", false},        {"+/x", "$SYS/x", false},    {"$SYS/#", "$SYS/x", true}, {"$SYS/+", "$SYS/x", true},
      {"a/#", "a/$x", true},
  };
  for (const auto& it : kCases) EXPECT_EQ(MqttMatches(it.filter, it.topic), it.matches) << it.filter << " " << it.topic;
}

TEST(MqttTopicTest, NothingIsNormalised) {
  EXPECT_FALSE(MqttMatches("\xc3\xa4", "a\xcc\x88"));   // ä composed and decomposed
  EXPECT_FALSE(MqttMatches("a", "a "));
  EXPECT_TRUE(MqttMatches("\xef\xbb\xbf" "a", "\xef\xbb\xbf" "a"));
  EXPECT_FALSE(MqttMatches("\xef\xbb\xbf" "a", "a"));
}

TEST(MqttTopicTest, CoversIsWhatEveryTopicSays) {
  const struct { const char* outer; const char* inner; bool covers; } kCases[] = {
      {"sluice/v1/d/#", "sluice/v1/d/ack", true},  {"sluice/v1/d/#", "sluice/v1/d/#", true}, {"sluice/v1/d/#", "sluice/v1/d", true},
      {"sluice/v1/d/#", "sluice/v1/+/ack", false}, {"sluice/v1/d/#", "#", false},            {"sluice/v1/d/#", "sluice/v1/d/+/x", true},
      {"sluice/v1/d/#", "sluice/v1/dd/#", false},  {"a/+", "a/b", true},                     {"a/+", "a/+", true},
      {"a/+", "a/#", false},                       {"a/+", "a", false},                      {"a/+/#", "a/#", false},
      {"a/+/#", "a/b", true},                      {"#", "a/#", true},                       {"#", "+", true},
      {"#", "$SYS/a", false},                      {"+/a", "$SYS/a", false},                 {"$SYS/#", "$SYS/+", true},
      {"a", "a", true},                            {"a", "+", false},                        {"", "a", false},
  };
  for (const auto& it : kCases) EXPECT_EQ(MqttCovers(it.outer, it.inner), it.covers) << it.outer << " " << it.inner;
}

// Over a small alphabet: a filter covers another one if every topic of up to four levels says so.
TEST(MqttTopicTest, CoversAgreesWithMatchesOnEveryTopic) {
  std::vector<std::string> topics, filters;
  const char* levels[] = {"a", "b", "$", ""};
  for (const char* one : levels) {
    topics.push_back(one);
    for (const char* two : levels) {
      topics.push_back(std::string(one) + "/" + two);
      for (const char* three : levels) {
        topics.push_back(std::string(one) + "/" + two + "/" + three);
        for (const char* four : levels) topics.push_back(std::string(one) + "/" + two + "/" + three + "/" + four);
      }
    }
  }
  std::erase(topics, "");
  const char* parts[] = {"a", "+", "#", "$", ""};
  for (const char* one : parts) {
    filters.push_back(one);
    for (const char* two : parts) {
      filters.push_back(std::string(one) + "/" + two);
      for (const char* three : parts) filters.push_back(std::string(one) + "/" + two + "/" + three);
    }
  }
  std::erase_if(filters, [](const std::string& it) { return CheckMqttFilter(it, false) != MqttFilterFault::kNone; });
  size_t covered = 0;
  for (const std::string& outer : filters) {
    for (const std::string& inner : filters) {
      bool every = true, any = false;
      for (const std::string& topic : topics) {
        if (!MqttMatches(inner, topic)) continue;
        any = true;
        every &= MqttMatches(outer, topic);
      }
      if (!any) continue;
      // Refusing what lies within is safe; allowing what does not is not.
      if (MqttCovers(outer, inner)) {
        EXPECT_TRUE(every) << outer << " does not cover " << inner;
      }
      covered += MqttCovers(outer, inner) ? 1 : 0;
    }
  }
  EXPECT_GT(covered, filters.size());
}

TEST(MqttTopicTest, FiltersAreChecked) {
  EXPECT_EQ(CheckMqttFilter("", true), MqttFilterFault::kEmpty);
  EXPECT_EQ(CheckMqttFilter("a/b/c", true), MqttFilterFault::kNone);
  EXPECT_EQ(CheckMqttFilter("+/+/#", true), MqttFilterFault::kNone);
  EXPECT_EQ(CheckMqttFilter("a/#/b", true), MqttFilterFault::kHash);
  EXPECT_EQ(CheckMqttFilter("a#", true), MqttFilterFault::kHash);
  EXPECT_EQ(CheckMqttFilter("a+/b", true), MqttFilterFault::kPlus);
  EXPECT_EQ(CheckMqttFilter("$share/g/a/#", true), MqttFilterFault::kNone);
  EXPECT_EQ(CheckMqttFilter("$share//a", true), MqttFilterFault::kShareName);
  EXPECT_EQ(CheckMqttFilter("$share/g", true), MqttFilterFault::kShareFilter);
  EXPECT_EQ(CheckMqttFilter("$share/#/a", true), MqttFilterFault::kShareFilter);
  EXPECT_EQ(CheckMqttFilter("$share/g/a#", true), MqttFilterFault::kHash);
  EXPECT_EQ(CheckMqttFilter("$share/g", false), MqttFilterFault::kNone);
  EXPECT_TRUE(IsMqttShared("$share/g/a"));
  EXPECT_FALSE(IsMqttShared("$shared/g/a"));
  EXPECT_EQ(CountMqttLevels("a"), 1u);
  EXPECT_EQ(CountMqttLevels("/a/"), 3u);
}

// The definition of Unicode, table 3-7, once more and the slow way.
bool SlowUtf8(const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u; };
    uint32_t code = byte(0);
    size_t length = 1;
    if (code >= 0xF0) {
      length = 4, code = (code & 7) << 18 | (byte(1) & 63) << 12 | (byte(2) & 63) << 6 | (byte(3) & 63);
    } else if (code >= 0xE0) {
      length = 3, code = (code & 15) << 12 | (byte(1) & 63) << 6 | (byte(2) & 63);
    } else if (code >= 0xC0) {
      length = 2, code = (code & 31) << 6 | (byte(1) & 63);
    } else if (code >= 0x80) {
      return false;
    }
    if (byte(0) >= 0xF8 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((byte(k) & 0xC0) != 0x80) return false;
    }
    const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    i += length;
  }
  return true;
}

TEST(MqttTopicTest, Utf8IsToldFromWhatIsNot) {
  std::mt19937 dice(1);
  const unsigned char interesting[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1,
                                       0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF};
  size_t good = 0;
  for (int round = 0; round < 300'000; ++round) {
    std::string text(dice() % 12, 'a');   // around the eight that are looked at together
    for (size_t hits = dice() % 5; hits > 0 && !text.empty(); --hits) {
      text[dice() % text.size()] = static_cast<char>(interesting[dice() % sizeof(interesting)]);
    }
    const bool right = SlowUtf8(text);
    good += right ? 1 : 0;
    const MqttText expected = !right                                    ? MqttText::kNotUtf8
                              : text.find('\0') != std::string::npos ? MqttText::kNul
                                                                     : MqttText::kGood;
    ASSERT_EQ(CheckMqttText(text), expected) << testing::PrintToString(text);
    ASSERT_EQ(IsUtf8(text), right);
  }
  EXPECT_GT(good, 50'000u);
}

}  // namespace
}  // namespace sluice::transport
