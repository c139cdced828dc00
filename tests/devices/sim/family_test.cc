#include "devices/sim/family.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace sluice::sim {
namespace {

using Maker = std::unique_ptr<Family> (*)(uint64_t);

struct Case {
  const char* name;
  Maker make;
  std::set<Kind> kinds;
};

const Case kCases[] = {
    {"vending", &MakeVending,
     {Kind::kSale, Kind::kRefill, Kind::kStockCount, Kind::kPriceChange, Kind::kStatus, Kind::kTelemetry, Kind::kAlarm}},
    {"sensor", &MakeSensor, {Kind::kTelemetry, Kind::kStatus, Kind::kAlarm}},
    {"terminal", &MakeTerminal, {Kind::kPunch, Kind::kBreak, Kind::kStatus}},
};

// The members that ARCHITECTURE.md allows for a kind: the gateway refuses any other by name.
const std::map<Kind, std::set<std::string>> kMembers = {
    {Kind::kStatus, {"state", "text", "attributes"}},
    {Kind::kTelemetry, {"values"}},
    {Kind::kAlarm, {"code", "severity", "text", "cleared"}},
    {Kind::kSale, {"product", "selection", "quantity", "price", "currency", "payment", "transaction"}},
    {Kind::kRefill, {"product", "selection", "quantity"}},
    {Kind::kStockCount, {"product", "selection", "level"}},
    {Kind::kPriceChange, {"product", "selection", "price", "currency"}},
    {Kind::kPunch, {"user", "direction", "verified"}},
    {Kind::kBreak, {"user", "phase", "verified"}},
};

class FamilyTest : public testing::TestWithParam<Case> {};

TEST_P(FamilyTest, LivesAWholeLifeInValidWords) {
  const auto family = GetParam().make(42);
  EXPECT_EQ(family->Name(), GetParam().name);
  std::set<Kind> seen;
  for (int i = 0; i < 20'000; ++i) {
    std::string body = "{\"seq\":1";
    const Kind kind = family->Next(Wish::kAny, body);
    body += '}';
    seen.insert(kind);
    const auto json = nlohmann::json::parse(body, nullptr, false);
    ASSERT_TRUE(json.is_object()) << body;
    for (const auto& [name, value] : json.items()) {
      if (name == "seq") continue;
      ASSERT_TRUE(kMembers.at(kind).contains(name)) << name << " in " << KindName(kind);
    }
  }
  EXPECT_EQ(seen, GetParam().kinds);
}

TEST_P(FamilyTest, MeasuresInUnitsOfUcum) {
  const std::set<std::string> units = {"Cel", "%"};   // as event.proto wants them: C would be coulomb
  const auto family = GetParam().make(42);
  for (int i = 0; i < 1000; ++i) {
    std::string body = "{\"seq\":1";
    family->Next(Wish::kBulk, body);
    const auto json = nlohmann::json::parse(body + "}");
    if (!json.contains("values")) continue;
    for (const auto& [name, value] : json["values"].items()) {
      if (!value.is_object()) continue;
      ASSERT_TRUE(units.contains(value.at("unit"))) << name << ": " << value;
    }
  }
}

TEST_P(FamilyTest, TheSameSeedIsTheSameLife) {
  const auto one = GetParam().make(7);
  const auto two = GetParam().make(7);
  const auto other = GetParam().make(8);
  std::string text_one, text_two, text_other;
  for (int i = 0; i < 200; ++i) {
    one->Next(Wish::kAny, text_one);
    two->Next(Wish::kAny, text_two);
    other->Next(Wish::kAny, text_other);
  }
  EXPECT_EQ(text_one, text_two);
  EXPECT_NE(text_one, text_other);
}

TEST_P(FamilyTest, GivesTheClassThatIsWished) {
  const std::set<Kind> bulk = {Kind::kStatus, Kind::kTelemetry};
  const auto family = GetParam().make(3);
  for (int i = 0; i < 1000; ++i) {
    std::string body;
    EXPECT_TRUE(bulk.contains(family->Next(Wish::kBulk, body)));
    EXPECT_FALSE(bulk.contains(family->Next(Wish::kCritical, body)));
    EXPECT_EQ(family->Next(Wish::kOnline, body), Kind::kStatus);
  }
}

INSTANTIATE_TEST_SUITE_P(All, FamilyTest, testing::ValuesIn(kCases),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(KindTest, NamesGoBothWays) {
  for (int i = 0; i <= static_cast<int>(Kind::kBreak); ++i) {
    Kind kind{};
    ASSERT_TRUE(KindFromName(KindName(static_cast<Kind>(i)), kind));
    EXPECT_EQ(kind, static_cast<Kind>(i));
  }
  Kind kind{};
  EXPECT_FALSE(KindFromName("stock_count", kind));
}

}  // namespace
}  // namespace sluice::sim
