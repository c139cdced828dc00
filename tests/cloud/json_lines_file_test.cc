// Files of the bus: set aside at their size, bounded in number, and found again by the mark wherever a run ended.
#include "cloud/eventbus/json_lines_file.h"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/cloud/fixture.h"

namespace sluice::eventbus {
namespace {

using cloud::JsonLinesPaths;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class JsonLinesFileTest : public ::testing::Test {
 protected:
  // Lines of ten bytes; set aside from three on.
  std::unique_ptr<JsonLinesFile> Open(const std::string& mark, int64_t max_files = 4) {
    auto file = std::make_unique<JsonLinesFile>(
        JsonLinesOptions{.path = Path("events.jsonl"), .max_bytes = 30, .max_files = max_files});
    const absl::Status resumed = file->Resume(mark);
    EXPECT_TRUE(resumed.ok()) << resumed;
    return file;
  }
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  static std::string Line(int number) {
    const std::string digits = StrCat(number);
    return StrCat("{", std::string(7 - digits.size(), ' '), digits, "}");
  }
  static void Write(JsonLinesFile& file, int from, int to) {
    for (int i = from; i <= to; ++i) ASSERT_OK(file.Publish(0, "", Line(i)));
    ASSERT_OK(file.Push());
  }
  // One text a file, in order: its name without what all share, and its numbers.
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const std::string& path : JsonLinesPaths(folder_.path(), "events")) {
      std::ifstream file(path);
      std::string& text = files.emplace_back(path.substr(path.rfind('/') + 7));
      for (std::string line; std::getline(file, line);) {
        text += " " + line.substr(line.find_first_not_of("{ "), line.find('}') - line.find_first_not_of("{ "));
      }
    }
    return files;
  }

  cloud::TempFolder folder_;
};

TEST_F(JsonLinesFileTest, IsSetAsideAtItsSizeWhenItIsFlushed) {
  auto file = Open("");
  Write(*file, 1, 2);
  ASSERT_OK(file->Flush());
  EXPECT_EQ(file->Mark(), "1:20");
  Write(*file, 3, 4);
  EXPECT_THAT(Files(), ElementsAre(".jsonl 1 2 3 4"));
  ASSERT_OK(file->Flush());
  EXPECT_EQ(file->Mark(), "2:0");
  Write(*file, 5, 5);
  EXPECT_THAT(Files(), ElementsAre(".000001.jsonl 1 2 3 4", ".jsonl 5"));
}

TEST_F(JsonLinesFileTest, OfTooManyTheOldestGoes) {
  auto file = Open("", 3);
  for (int i = 0; i < 5; ++i) {
    Write(*file, 3 * i + 1, 3 * i + 3);
    ASSERT_OK(file->Flush());
  }
  EXPECT_THAT(Files(), ElementsAre(".000004.jsonl 10 11 12", ".000005.jsonl 13 14 15", ".jsonl"));
}

TEST_F(JsonLinesFileTest, AReaderThatHasTheFileOpenReadsItToItsEnd) {
  auto file = Open("");
  Write(*file, 1, 1);
  std::ifstream reader(Path("events.jsonl"));
  Write(*file, 2, 4);
  ASSERT_OK(file->Flush());
  Write(*file, 5, 5);
  int lines = 0;
  for (std::string line; std::getline(reader, line);) ++lines;
  EXPECT_EQ(lines, 4);
}

TEST_F(JsonLinesFileTest, GoesBackToTheMarkAcrossFilesThatWereSetAsideAfterIt) {
  std::string mark;
  {
    auto file = Open("");
    Write(*file, 1, 3);
    ASSERT_OK(file->Flush());
    Write(*file, 4, 5);
    ASSERT_OK(file->Flush());
    mark = file->Mark();
    // From here on nothing is noted any more.
    Write(*file, 6, 7);
    ASSERT_OK(file->Flush());
    Write(*file, 8, 10);
    ASSERT_OK(file->Flush());
    Write(*file, 11, 11);
  }
  EXPECT_THAT(Files(), ElementsAre(".000001.jsonl 1 2 3", ".000002.jsonl 4 5 6 7", ".000003.jsonl 8 9 10", ".jsonl 11"));
  auto file = Open(mark);
  EXPECT_THAT(Files(), ElementsAre(".000001.jsonl 1 2 3", ".jsonl 4 5"));
  EXPECT_EQ(file->Mark(), mark);
  Write(*file, 6, 7);
  ASSERT_OK(file->Flush());
  EXPECT_THAT(Files(), ElementsAre(".000001.jsonl 1 2 3", ".000002.jsonl 4 5 6 7", ".jsonl"));
}

TEST_F(JsonLinesFileTest, GoesBackFromBetweenTheTwoRenames) {
  std::string mark;
  {
    auto file = Open("");
    Write(*file, 1, 2);
    ASSERT_OK(file->Flush());
    mark = file->Mark();
    Write(*file, 3, 4);
  }
  std::filesystem::rename(Path("events.jsonl"), Path("events.000001.jsonl"));
  auto file = Open(mark);
  EXPECT_THAT(Files(), ElementsAre(".jsonl 1 2"));
  EXPECT_EQ(file->Mark(), mark);
}

TEST_F(JsonLinesFileTest, FilesThatWereTakenAwayMoveNoMark) {
  std::string mark;
  {
    auto file = Open("");
    for (int i = 0; i < 2; ++i) {
      Write(*file, 3 * i + 1, 3 * i + 3);
      ASSERT_OK(file->Flush());
    }
    Write(*file, 7, 8);
    ASSERT_OK(file->Flush());
    mark = file->Mark();
    Write(*file, 9, 9);
  }
  for (const char* name : {"events.000001.jsonl", "events.000002.jsonl"}) std::filesystem::remove(Path(name));
  auto file = Open(mark);
  EXPECT_EQ(mark, "3:20");
  EXPECT_EQ(file->Mark(), mark);
  EXPECT_THAT(Files(), ElementsAre(".jsonl 7 8"));
  Write(*file, 9, 9);
  ASSERT_OK(file->Flush());
  EXPECT_THAT(Files(), ElementsAre(".000003.jsonl 7 8 9", ".jsonl"));
}

TEST_F(JsonLinesFileTest, WhenTheFileOfTheMarkWasTakenAwayTheNewestBeginsAnew) {
  {
    auto file = Open("");
    for (int i = 0; i < 3; ++i) {
      Write(*file, 3 * i + 1, 3 * i + 3);
      ASSERT_OK(file->Flush());
    }
  }
  std::filesystem::remove(Path("events.000002.jsonl"));
  auto file = Open("2:20");
  EXPECT_THAT(Files(), ElementsAre(".000001.jsonl 1 2 3", ".jsonl"));
  EXPECT_EQ(file->Mark(), "2:0");
}

TEST_F(JsonLinesFileTest, AFileThatIsTakenAwayWhileItIsWrittenBeginsAnewAtItsSize) {
  auto file = Open("");
  Write(*file, 1, 2);
  std::filesystem::remove(Path("events.jsonl"));
  Write(*file, 3, 3);
  ASSERT_OK(file->Flush());
  Write(*file, 4, 4);
  EXPECT_THAT(Files(), ElementsAre(".jsonl 4"));
}

TEST_F(JsonLinesFileTest, WhatIsNotItsOwnStays) {
  for (const char* name : {"events.1.jsonl", "events.abc.jsonl", "other.000001.jsonl", "events.000000.jsonl"}) {
    std::ofstream(Path(name)) << "mine\n";
  }
  auto file = Open("", 2);
  for (int i = 0; i < 4; ++i) {
    Write(*file, 3 * i + 1, 3 * i + 3);
    ASSERT_OK(file->Flush());
  }
  for (const char* name : {"events.1.jsonl", "events.abc.jsonl", "other.000001.jsonl", "events.000000.jsonl"}) {
    EXPECT_TRUE(std::filesystem::exists(Path(name))) << name;
  }
}

TEST_F(JsonLinesFileTest, GrowsOnWhereTheNextCannotBeMade) {
  auto file = Open("");
  Write(*file, 1, 3);
  std::filesystem::create_directory(Path("events.jsonl.next"));
  EXPECT_FALSE(file->Flush().ok());
  Write(*file, 4, 4);
  std::filesystem::remove(Path("events.jsonl.next"));
  ASSERT_OK(file->Flush());
  EXPECT_THAT(Files(), ElementsAre(".000001.jsonl 1 2 3 4", ".jsonl"));
}

TEST_F(JsonLinesFileTest, ReadsTheMarkOfAVersionThatSetNothingAside) {
  std::ofstream(Path("events.jsonl")) << Line(1) << "\n" << Line(2) << "\n" << "{ tor";
  auto file = Open("20");
  EXPECT_EQ(file->Mark(), "1:20");
  EXPECT_THAT(Files(), ElementsAre(".jsonl 1 2"));
  for (const char* mark : {"x", "1:", ":1", "1:2:3", "-1"}) {
    JsonLinesFile other({.path = Path("other.jsonl")});
    EXPECT_THAT(std::string(MessageOf(other.Resume(mark))), HasSubstr(mark)) << mark;
  }
}

}  // namespace
}  // namespace sluice::eventbus
