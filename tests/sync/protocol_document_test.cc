// PROTOCOL.md names tests, which have to exist, and numbers its sentences for good.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace {

std::string Read(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Code and tests may name a number: no two sentences share one, and a new one comes last.
TEST(ProtocolDocumentTest, NumbersItsSentencesOnceAndInOrder) {
  const char* source = std::getenv("SLUICE_SOURCE");
  if (source == nullptr) GTEST_SKIP() << "SLUICE_SOURCE is not set";
  const std::string document = Read(std::filesystem::path(source) / "sync/PROTOCOL.md");
  const std::regex number(R"(\n(\d+)\. )");
  int last = 0;
  for (std::sregex_iterator it(document.begin(), document.end(), number), end; it != end; ++it) {
    const int now = std::stoi((*it)[1]);
    EXPECT_EQ(now, last + 1);
    last = now;
  }
  EXPECT_GT(last, 40);
}

TEST(ProtocolDocumentTest, NamesOnlyTestsThatExist) {
  const char* source = std::getenv("SLUICE_SOURCE");
  if (source == nullptr) GTEST_SKIP() << "SLUICE_SOURCE is not set";
  const std::filesystem::path root = source;
  std::set<std::string> tests;
  const std::regex definition(R"(TEST(?:_F|_P)?\((\w+), *(\w+)\))");
  for (const char* folder : {"tests/sync", "tests/cloud", "tests/cloud/ingest_receiver", "tests/gateway/outbox"}) {
    for (const auto& entry : std::filesystem::directory_iterator(root / folder)) {
      if (entry.path().extension() != ".cc") continue;
      const std::string text = Read(entry.path());
      for (std::sregex_iterator it(text.begin(), text.end(), definition), end; it != end; ++it) {
        tests.insert((*it)[1].str() + "." + (*it)[2].str());
      }
    }
  }
  const std::string document = Read(root / "sync/PROTOCOL.md");
  const std::regex mention(R"(`(\w+Test\.\w+)`)");
  size_t mentions = 0;
  for (std::sregex_iterator it(document.begin(), document.end(), mention), end; it != end; ++it, ++mentions) {
    EXPECT_TRUE(tests.contains((*it)[1])) << (*it)[1];
  }
  EXPECT_GT(mentions, 40u);
  // Every numbered sentence names one.
  const std::regex sentence(R"(\n\d+\. ([^\n]|\n {3,})*)");
  for (std::sregex_iterator it(document.begin(), document.end(), sentence), end; it != end; ++it) {
    EXPECT_TRUE(std::regex_search(it->str(), mention)) << it->str();
  }
}

}  // namespace
