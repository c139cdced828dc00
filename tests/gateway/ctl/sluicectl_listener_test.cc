// sluicectl listener: the password file, edited as an operator does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/password_file.h"
#include "base/strings.h"
#include "tests/fakes/temp_folder.h"
#include "tests/gateway/ctl/run_program.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class ListenerCommandTest : public testing::Test {
 protected:
  ProgramResult Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"sluicectl", "listener", "--password-file", file_});
    return RunProgram(arguments);
  }
  ProgramResult RunWithInput(const std::string& input, const std::string& arguments) const {
    return RunProgram({"/bin/sh", "-c", StrCat("printf '", input, "' | \"$SLUICE_BIN\"/sluicectl listener --password-file '",
                                               file_, "' ", arguments)});
  }
  std::string PasswordIn(const std::string& out) const {
    const size_t at = out.find("password  ");
    return at == std::string::npos ? "" : out.substr(at + 10, out.find('\n', at) - at - 10);
  }
  std::string Content() const {
    std::ifstream in(file_);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fakes::TempFolder folder_;
  const std::string file_ = folder_ / "listener.passwd";
};

TEST_F(ListenerCommandTest, AGeneratedPasswordIsShownOnceAndOnlyItsHashIsKept) {
  const auto added = Run({"add-device", "vend-7"});
  EXPECT_EQ(added.exit_code, 0) << added.err;
  const std::string password = PasswordIn(added.out);
  EXPECT_EQ(password.size(), 26u) << added.out;
  EXPECT_THAT(added.err, HasSubstr("only time"));
  EXPECT_THAT(Content(), Not(HasSubstr(password)));
  const auto file = PasswordFile::Load(file_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_NE(file->Find("vend-7"), nullptr);
  EXPECT_EQ(file->Find("vend-7")->cost, kGeneratedPasswordCost);
  EXPECT_TRUE(IsPassword(password, *file->Find("vend-7")));
  EXPECT_EQ(Run({"list-devices"}).out, "DEVICE  SCRYPT         MEMORY\nvend-7  ln=10,r=8,p=1   1 MiB\n");
}

TEST_F(ListenerCommandTest, AChosenPasswordCostsMoreAndHasALeastLength) {
  const auto added = RunWithInput("correct horse\\n", "add-device vend-7 --stdin");
  EXPECT_EQ(added.exit_code, 0) << added.err;
  EXPECT_EQ(added.out, "device    vend-7\n");
  const auto file = PasswordFile::Load(file_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_GE(file->Find("vend-7")->cost.log_n, 14);
  EXPECT_TRUE(IsPassword("correct horse", *file->Find("vend-7")));
  const auto tooShort = RunWithInput("hunter2\\n", "add-device vend-8 --stdin");
  EXPECT_EQ(tooShort.exit_code, 2);
  EXPECT_THAT(tooShort.err, HasSubstr("12 to 256 bytes"));
}

TEST_F(ListenerCommandTest, AnOldPasswordEndsOnlyWhenThatIsAskedFor) {
  const std::string first = PasswordIn(Run({"add-device", "vend-7"}).out);
  const auto again = Run({"add-device", "vend-7"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, HasSubstr("--replace"));
  EXPECT_TRUE(IsPassword(first, *PasswordFile::Load(file_)->Find("vend-7")));
  const auto replaced = Run({"add-device", "vend-7", "--replace"});
  EXPECT_EQ(replaced.exit_code, 0);
  EXPECT_FALSE(IsPassword(first, *PasswordFile::Load(file_)->Find("vend-7")));
}

TEST_F(ListenerCommandTest, RemovesADevice) {
  Run({"add-device", "vend-7"});
  Run({"add-device", "vend-8"});
  EXPECT_EQ(Run({"remove-device", "vend-7"}).exit_code, 0);
  const auto unknown = Run({"remove-device", "vend-7"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("vend-7 has no line"));
  EXPECT_EQ(PasswordFile::Load(file_)->entries().size(), 1u);
  EXPECT_EQ(Run({"remove-device", "vend-8"}).exit_code, 0);
  EXPECT_EQ(Run({"list-devices"}).out, "no device has a password\n");
}

TEST_F(ListenerCommandTest, AnswersProgramsInJson) {
  const json added = json::parse(Run({"add-device", "vend-7", "--json"}).out);
  EXPECT_EQ(added["device"], "vend-7");
  EXPECT_EQ(added["replaced"], false);
  EXPECT_EQ(added["password"].get<std::string>().size(), 26u);
  const json listed = json::parse(Run({"list-devices", "--json"}).out);
  EXPECT_EQ(listed["devices"][0]["device"], "vend-7");
  EXPECT_EQ(listed["devices"][0]["ln"], 10);
}

TEST_F(ListenerCommandTest, SaysWhatIsWrong) {
  EXPECT_EQ(Run({}).exit_code, 2);
  for (const char* wrong : {"a/b", "#a", ".a", "a b", "a:b"}) {
    const auto name = Run({"add-device", wrong});
    EXPECT_EQ(name.exit_code, 2) << wrong;
    EXPECT_THAT(name.err, HasSubstr("cannot be a device"));
  }
  EXPECT_EQ(Run({"list-devices"}).exit_code, 1);   // no such file
  std::ofstream(file_) << "junk\n";
  chmod(file_.c_str(), 0600);
  const auto broken = Run({"add-device", "vend-7"});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.err, HasSubstr("line 1"));
  EXPECT_EQ(Content(), "junk\n");
}

}  // namespace
}  // namespace sluice::ctl
