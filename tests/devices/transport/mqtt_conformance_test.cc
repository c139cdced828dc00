// MQTT_CONFORMANCE.md accounts for every statement of both standards, and what it names exists.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/devices/transport/mqtt_vectors.h"

namespace sluice::transport {
namespace {

namespace fs = std::filesystem;

struct Section {
  const char* name;
  int first, last;
};

// Appendix B of MQTT 5.0: MQTT-<name>-<first> to -<last>.
constexpr Section kV5[] = {
    {"1.5.4", 1, 3},   {"1.5.5", 1, 1},  {"1.5.7", 1, 1},  {"2.1.3", 1, 1},  {"2.2.1", 2, 6},  {"2.2.2", 1, 1},
    {"3.1.0", 1, 2},   {"3.1.2", 1, 30}, {"3.1.3", 1, 12}, {"3.1.4", 1, 6},  {"3.2.0", 1, 2},  {"3.2.2", 1, 22},
    {"3.3.1", 1, 13},  {"3.3.2", 1, 20}, {"3.3.4", 1, 10}, {"3.4.2", 1, 3},  {"3.5.2", 1, 3},  {"3.6.1", 1, 1},
    {"3.6.2", 1, 3},   {"3.7.2", 1, 3},  {"3.8.1", 1, 1},  {"3.8.3", 1, 5},  {"3.8.4", 1, 8},  {"3.9.2", 1, 2},
    {"3.9.3", 1, 2},   {"3.10.1", 1, 1}, {"3.10.3", 1, 2}, {"3.10.4", 1, 6}, {"3.11.2", 1, 2}, {"3.11.3", 1, 2},
    {"3.12.4", 1, 1},  {"3.14.0", 1, 1}, {"3.14.1", 1, 1}, {"3.14.2", 1, 4}, {"3.14.4", 1, 3}, {"3.15.1", 1, 1},
    {"3.15.2", 1, 3},  {"4.1.0", 1, 2},  {"4.2.0", 1, 1},  {"4.3.1", 1, 1},  {"4.3.2", 1, 5},  {"4.3.3", 1, 13},
    {"4.4.0", 1, 2},   {"4.5.0", 1, 2},  {"4.6.0", 1, 6},  {"4.7.0", 1, 1},  {"4.7.1", 1, 2},  {"4.7.2", 1, 1},
    {"4.7.3", 1, 4},   {"4.8.2", 1, 6},  {"4.9.0", 1, 3},  {"4.12.0", 1, 7}, {"4.12.1", 1, 2}, {"4.13.1", 1, 1},
    {"4.13.2", 1, 1},  {"6.0.0", 1, 4},
};
// Appendix B of MQTT 3.1.1.
constexpr Section kV311[] = {
    {"1.5.3", 1, 3},  {"2.2.2", 1, 2},  {"2.3.1", 1, 7},  {"3.1.0", 1, 2},  {"3.1.2", 1, 24}, {"3.1.3", 1, 11}, {"3.1.4", 1, 5},
    {"3.2.0", 1, 1},  {"3.2.2", 1, 6},  {"3.3.1", 1, 12}, {"3.3.2", 1, 3},  {"3.3.4", 1, 1},  {"3.3.5", 1, 2},  {"3.6.1", 1, 1},
    {"3.8.1", 1, 1},  {"3.8.3", 1, 4},  {"3.8.4", 1, 6},  {"3.9.3", 1, 2},  {"3.10.1", 1, 1}, {"3.10.3", 1, 2}, {"3.10.4", 1, 6},
    {"3.12.4", 1, 1}, {"3.14.1", 1, 1}, {"3.14.4", 1, 3}, {"4.1.0", 1, 2},  {"4.3.1", 1, 1},  {"4.3.2", 1, 2},  {"4.3.3", 1, 2},
    {"4.4.0", 1, 1},  {"4.5.0", 1, 2},  {"4.6.0", 1, 6},  {"4.7.1", 1, 3},  {"4.7.2", 1, 1},  {"4.7.3", 1, 4},  {"4.8.0", 1, 2},
    {"6.0.0", 1, 4},  {"7.0.0", 1, 2},  {"7.1.1", 1, 1},  {"7.1.2", 1, 1},
};

template <size_t n>
std::vector<std::string> IdsOf(const Section (&sections)[n]) {
  std::vector<std::string> ids;
  for (const Section& it : sections) {
    for (int i = it.first; i <= it.last; ++i) ids.push_back("MQTT-" + std::string(it.name) + "-" + std::to_string(i));
  }
  return ids;
}

struct Row {
  std::string id, asks, shown;
};

fs::path Root() {
  const char* source = std::getenv("SLUICE_SOURCE");
  if (source == nullptr) throw std::runtime_error("SLUICE_SOURCE is not set");
  return source;
}

std::string Read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The rows under "## 5.0" or "## 3.1.1", and those of what has no number.
std::vector<Row> Rows(const std::string& heading) {
  const std::string document = Read(Root() / "devices/transport/MQTT_CONFORMANCE.md");
  const size_t begin = document.find("\n## " + heading + "\n");
  if (begin == std::string::npos) throw std::runtime_error("no heading " + heading);
  const size_t end = document.find("\n## ", begin + 1);
  const std::string part = document.substr(begin, end - begin);
  std::vector<Row> rows;
  const std::regex row(R"(\n\| (MQTT-[\d.]+-\d+|5\.0, [\d.]+) \| ([^|\n]+) \| ([^|\n]+) \|(?=\n))");
  for (std::sregex_iterator it(part.begin(), part.end(), row), last; it != last; ++it) {
    rows.push_back({(*it)[1], (*it)[2], (*it)[3]});
  }
  return rows;
}

class MqttConformanceTest : public testing::TestWithParam<std::pair<const char*, std::vector<std::string>>> {};

TEST_P(MqttConformanceTest, EveryStatementHasItsRow) {
  std::vector<std::string> ids;
  for (const Row& row : Rows(GetParam().first)) ids.push_back(row.id);
  EXPECT_EQ(ids, GetParam().second);   // in the standard's order, each once
}

void ExpectShown(const std::vector<Row>& rows) {
  std::set<std::string> tests, cases;
  const std::regex definition(R"(TEST(?:_F|_P)?\((\w+), *(\w+)\))");
  for (const auto& entry : fs::directory_iterator(Root() / "tests/devices/transport")) {
    if (entry.path().extension() != ".cc") continue;
    const std::string text = Read(entry.path());
    for (std::sregex_iterator it(text.begin(), text.end(), definition), end; it != end; ++it) {
      tests.insert((*it)[1].str() + "." + (*it)[2].str());
    }
  }
  for (const char* file : {"good.txt", "other_forms.txt", "malformed.txt"}) {
    for (const MqttVector& vector : ReadMqttVectors(file)) EXPECT_TRUE(cases.insert(vector.name).second) << vector.name;
  }
  const std::regex mention(R"((case )?`([^`]+)`)");
  for (const Row& row : rows) {
    SCOPED_TRACE(row.id);
    size_t mentions = 0;
    for (std::sregex_iterator it(row.shown.begin(), row.shown.end(), mention), end; it != end; ++it) {
      const std::string name = (*it)[2];
      if ((*it)[1].matched) {
        EXPECT_TRUE(cases.contains(name)) << "no case " << name;
      } else if (name != "mqtt_listener") {
        EXPECT_TRUE(tests.contains(name)) << "no test " << name;
      }
      ++mentions;
    }
    // Only what is not ours, or not offered, may go without.
    if (mentions == 0) {
      EXPECT_TRUE(row.shown.starts_with("client's duty") || row.shown.starts_with("not offered: ")) << row.shown;
    }
  }
}

TEST_P(MqttConformanceTest, EveryRowIsShownBySomethingThatExists) { ExpectShown(Rows(GetParam().first)); }

INSTANTIATE_TEST_SUITE_P(Versions, MqttConformanceTest,
                         testing::Values(std::pair("5.0", IdsOf(kV5)), std::pair("3.1.1", IdsOf(kV311))),
                         [](const auto& param) { return std::string(param.index == 0 ? "V5" : "V311"); });

TEST(MqttStatementsTest, WithoutANumberAreShownToo) {
  const std::vector<Row> rows = Rows("Without a number");
  EXPECT_GE(rows.size(), 5u);
  ExpectShown(rows);
}

TEST(MqttStatementsTest, AreAsManyAsTheStandardsSay) {
  EXPECT_EQ(IdsOf(kV5).size(), 251u);
  EXPECT_EQ(IdsOf(kV311).size(), 141u);
}

// What the code says that it checks is a statement of its version.
TEST(MqttStatementsTest, OfTheRulesExist) {
  const std::vector<std::string> v5 = IdsOf(kV5), v311 = IdsOf(kV311);
  const std::set<std::string> known5(v5.begin(), v5.end()), known311(v311.begin(), v311.end());
  const std::string text = Read(Root() / "devices/transport/mqtt_rule.h");
  const std::regex rule(R"re(MqttRule (k\w+)\{R::\w+,\s*"([^"]*)",\s*"([^"]*)",)re");
  size_t rules = 0;
  for (std::sregex_iterator it(text.begin(), text.end(), rule), end; it != end; ++it, ++rules) {
    if (!(*it)[2].str().empty()) {
      EXPECT_TRUE(known311.contains((*it)[2])) << (*it)[1] << " " << (*it)[2];
    }
    if (!(*it)[3].str().empty()) {
      EXPECT_TRUE(known5.contains((*it)[3])) << (*it)[1] << " " << (*it)[3];
    }
  }
  EXPECT_GT(rules, 70u);
}

// Every rule of the codec has a packet that breaks it.
TEST(MqttStatementsTest, OfTheRulesAreBrokenByACase) {
  std::set<std::string> broken;
  const std::regex statement(R"(\[(MQTT-[^\]]+)\])");
  for (const MqttVector& vector : ReadMqttVectors("malformed.txt")) {
    std::smatch match;
    if (std::regex_search(vector.expected, match, statement)) broken.insert(match[1]);
  }
  const std::string text = Read(Root() / "devices/transport/mqtt_rule.h");
  const std::regex id(R"re("(MQTT-[^"]+)")re");
  for (std::sregex_iterator it(text.begin(), text.end(), id), end; it != end; ++it) {
    EXPECT_TRUE(broken.contains((*it)[1])) << (*it)[1];
  }
}

}  // namespace
}  // namespace sluice::transport
