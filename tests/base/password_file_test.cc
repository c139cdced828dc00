#include "base/password_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "base/strings.h"
#include "tests/fakes/temp_folder.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

PasswordHash HashOf(const std::string& password) {
  SystemRandom random;
  return HashPassword(password, kGeneratedPasswordCost, random).value();
}

std::vector<std::string> NamesOf(const PasswordFile& file) {
  std::vector<std::string> names;
  for (const auto& [name, hash] : file.entries()) names.push_back(name);
  return names;
}

class PasswordFileTest : public ::testing::Test {
 protected:
  void Write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_, std::ios::binary) << text;
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }
  mode_t Mode() const {
    struct stat info {};
    EXPECT_EQ(stat(path_.c_str(), &info), 0);
    return info.st_mode & 07777;
  }

  fakes::TempFolder folder_;
  const std::string path_ = folder_ / "devices.passwd";
  const PasswordHash hash_ = HashOf("secret");
};

TEST_F(PasswordFileTest, ReadsDevicesAndPassesOverCommentsAndBlankLines) {
  const std::string line = hash_.ToString();
  const auto good = PasswordFile::Parse(StrCat("# shop 7\n\n  \nvend-7:", line, "\r\nscale.1:", line));
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_THAT(NamesOf(*good), ElementsAre("scale.1", "vend-7"));
  ASSERT_NE(good->Find("vend-7"), nullptr);
  EXPECT_EQ(*good->Find("vend-7"), hash_);
  EXPECT_EQ(good->Find("vend"), nullptr);
  EXPECT_EQ(good->Find("VEND-7"), nullptr);
  EXPECT_TRUE(PasswordFile::Parse("").ok());
}

TEST_F(PasswordFileTest, NamesTheLineAndNeverRepeatsIt) {
  const std::string line = hash_.ToString();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {StrCat("vend-7:", line, "\nvend-7:", line), "line 2: the device has a line already"},
      {"\nhunter2\n", "line 2: must be <device>"},
      {StrCat("a/b:", line), "line 1: the device must be"},
      {StrCat(".a:", line), "line 1: the device must be"},
      {StrCat(":", line), "line 1: the device must be"},
      {StrCat(std::string(65, 'a'), ":", line), "line 1: the device must be"},
      {"vend-7:hunter2", "line 1: must begin with $scrypt$"},
      {StrCat("vend-7: ", line), "line 1: must begin with $scrypt$"},
      {StrCat("#", std::string(2000, 'x')), "line 1: is longer"},
  };
  for (const auto& [text, why] : cases) {
    const auto file = PasswordFile::Parse(text);
    ASSERT_FALSE(file.ok()) << text;
    EXPECT_THAT(std::string(file.status().message()), HasSubstr(why)) << text;
    EXPECT_THAT(std::string(file.status().message()), Not(HasSubstr("hunter2")));
  }
}

TEST_F(PasswordFileTest, ARefusedModeIsNamedWithItsCure) {
  for (const mode_t mode : {0644, 0660, 0700, 0604, 0602}) {
    Write(StrCat("vend-7:", hash_.ToString(), "\n"), mode);
    const auto file = PasswordFile::Load(path_);
    EXPECT_TRUE(absl::IsFailedPrecondition(file.status())) << std::oct << mode;
    EXPECT_THAT(std::string(file.status().message()), HasSubstr("chmod 640"));
  }
  for (const mode_t mode : {0640, 0600, 0440, 0400}) {
    Write(StrCat("vend-7:", hash_.ToString(), "\n"), mode);
    EXPECT_TRUE(PasswordFile::Load(path_).ok()) << std::oct << mode;
    ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  }
  EXPECT_TRUE(absl::IsNotFound(PasswordFile::Load(folder_ / "nothing").status()));
  EXPECT_FALSE(PasswordFile::Load(folder_.path()).ok());
}

TEST_F(PasswordFileTest, TheStampChangesWithTheContent) {
  Write(StrCat("vend-7:", hash_.ToString(), "\n"));
  FileStamp first;
  ASSERT_TRUE(PasswordFile::Load(path_, &first).ok());
  EXPECT_EQ(StampOf(path_), first);
  ASSERT_TRUE(EditPasswordFile(path_, [&](const std::string& text) { return WithPassword(text, "a", hash_); }).ok());
  EXPECT_NE(StampOf(path_), first);
  EXPECT_EQ(StampOf(folder_ / "nothing"), FileStamp());
}

TEST_F(PasswordFileTest, EditingKeepsEverythingElse) {
  const std::string line = hash_.ToString();
  const PasswordHash other = HashOf("other");
  const std::string text = StrCat("# a\nvend-7:", line, "\n\n# b\nvend-70:", line);
  EXPECT_EQ(WithPassword(text, "vend-7", other), StrCat("# a\nvend-7:", other.ToString(), "\n\n# b\nvend-70:", line, "\n"));
  EXPECT_EQ(WithPassword(text, "vend", other),
            StrCat("# a\nvend-7:", line, "\n\n# b\nvend-70:", line, "\nvend:", other.ToString(), "\n"));
  EXPECT_EQ(WithoutPassword(text, "vend-7"), StrCat("# a\n\n# b\nvend-70:", line, "\n"));
  EXPECT_EQ(WithoutPassword(text, "vend"), StrCat(text, "\n"));
}

TEST_F(PasswordFileTest, AnEditIsAtomicAndKeepsTheMode) {
  ASSERT_TRUE(EditPasswordFile(path_, [&](const std::string& text) {
                EXPECT_EQ(text, "");
                return WithPassword(text, "vend-7", hash_);
              }).ok());
  EXPECT_EQ(Mode(), 0640u);
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  ASSERT_TRUE(EditPasswordFile(path_, [&](const std::string& text) { return WithPassword(text, "vend-8", hash_); }).ok());
  EXPECT_EQ(Mode(), 0600u);
  EXPECT_THAT(NamesOf(PasswordFile::Load(path_).value()), ElementsAre("vend-7", "vend-8"));

  const FileStamp before = StampOf(path_);
  EXPECT_TRUE(absl::IsNotFound(
      EditPasswordFile(path_, [](const std::string&) -> absl::StatusOr<std::string> { return absl::NotFoundError("no"); })));
  EXPECT_FALSE(EditPasswordFile(path_, [](const std::string&) { return std::string("junk\n"); }).ok());
  EXPECT_EQ(StampOf(path_), before);
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(
      EditPasswordFile(path_, [](const std::string& text) -> absl::StatusOr<std::string> { return text; })));
  Write("junk\n");
  EXPECT_TRUE(absl::IsInvalidArgument(
      EditPasswordFile(path_, [&](const std::string& text) { return WithPassword(text, "vend-7", hash_); })));
}

TEST_F(PasswordFileTest, EditorsAtTheSameTimeLoseNothingOfEachOther) {
  std::vector<std::thread> editors;
  for (int e = 0; e < 4; ++e) {
    editors.emplace_back([this, e] {
      for (int i = 0; i < 10; ++i) {
        EXPECT_TRUE(EditPasswordFile(path_, [&](const std::string& text) {
                      return WithPassword(text, StrCat("d-", e, "-", i), hash_);
                    }).ok());
      }
    });
  }
  for (auto& editor : editors) editor.join();
  EXPECT_EQ(PasswordFile::Load(path_).value().entries().size(), 40u);
}

}  // namespace
}  // namespace sluice
