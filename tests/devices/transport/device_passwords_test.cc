#include "devices/transport/device_passwords.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <fstream>

#include "base/strings.h"
#include "tests/fakes/temp_folder.h"

namespace sluice::transport {
namespace {

using testing::HasSubstr;

class DevicePasswordsTest : public testing::Test {
 protected:
  void Put(const std::string& device, const std::string& password, ScryptCost cost = kGeneratedPasswordCost) {
    const PasswordHash hash = HashPassword(password, cost, random_).value();
    ASSERT_TRUE(EditPasswordFile(path_, [&](const std::string& text) { return WithPassword(text, device, hash); }).ok());
  }
  void Remove(const std::string& device) {
    ASSERT_TRUE(EditPasswordFile(path_, [&](const std::string& text) { return WithoutPassword(text, device); }).ok());
  }
  // What a refusal costs this thread, which other work on the machine does not add to.
  double VerifyMs(const std::string& user) {
    const auto now_ms = [] {
      timespec now{};
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
      return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
    };
    const double began = now_ms();
    EXPECT_FALSE(passwords_.Verify(user, "wrong"));
    return now_ms() - began;
  }

  fakes::TempFolder folder_;
  const std::string path_ = folder_ / "listener.passwd";
  SystemRandom random_;
  DevicePasswords passwords_{path_, random_};
};

TEST_F(DevicePasswordsTest, KnowsARightPasswordFromAWrongOne) {
  Put("vm-1", "secret-1");
  Put("vm-2", "secret-2");
  ASSERT_TRUE(passwords_.Reload().value());
  EXPECT_EQ(passwords_.devices(), 2u);
  EXPECT_TRUE(passwords_.Verify("vm-1", "secret-1"));
  EXPECT_FALSE(passwords_.Verify("vm-1", "secret-2"));
  EXPECT_FALSE(passwords_.Verify("vm-2", "secret-1"));
  EXPECT_FALSE(passwords_.Verify("vm-3", "secret-1"));
  EXPECT_FALSE(passwords_.Verify("vm", "secret-1"));
  EXPECT_FALSE(passwords_.Verify("", ""));
}

TEST_F(DevicePasswordsTest, RemembersExactlyWhatWasRight) {
  Put("vm-1", "secret-1");
  ASSERT_TRUE(passwords_.Reload().ok());
  EXPECT_FALSE(passwords_.Recall("vm-1", "secret-1"));
  EXPECT_FALSE(passwords_.Verify("vm-1", "wrong"));
  EXPECT_FALSE(passwords_.Recall("vm-1", "wrong"));
  ASSERT_TRUE(passwords_.Verify("vm-1", "secret-1"));
  EXPECT_TRUE(passwords_.Recall("vm-1", "secret-1"));
  EXPECT_FALSE(passwords_.Recall("vm-1", "secret-"));
  EXPECT_FALSE(passwords_.Recall("vm-11", "secret-1"));
}

TEST_F(DevicePasswordsTest, ANewPasswordOrARemovalCountsFromTheNextReloadOn) {
  Put("vm-1", "secret-1");
  ASSERT_TRUE(passwords_.Reload().value());
  EXPECT_FALSE(passwords_.Reload().value()) << "nothing changed";
  ASSERT_TRUE(passwords_.Verify("vm-1", "secret-1"));
  const uint64_t line = passwords_.LineOf("vm-1");
  EXPECT_NE(line, 0u);
  Put("vm-2", "secret-2");
  ASSERT_TRUE(passwords_.Reload().value());
  EXPECT_EQ(passwords_.LineOf("vm-1"), line) << "another line changed";
  EXPECT_TRUE(passwords_.Recall("vm-1", "secret-1"));

  Put("vm-1", "secret-9");
  ASSERT_TRUE(passwords_.Reload().value());
  EXPECT_NE(passwords_.LineOf("vm-1"), line);
  EXPECT_FALSE(passwords_.Recall("vm-1", "secret-1"));
  EXPECT_FALSE(passwords_.Verify("vm-1", "secret-1"));
  EXPECT_TRUE(passwords_.Verify("vm-1", "secret-9"));

  Remove("vm-1");
  ASSERT_TRUE(passwords_.Reload().value());
  EXPECT_EQ(passwords_.LineOf("vm-1"), 0u);
  EXPECT_FALSE(passwords_.Recall("vm-1", "secret-9"));
  EXPECT_FALSE(passwords_.Verify("vm-1", "secret-9"));
}

TEST_F(DevicePasswordsTest, ABrokenFileKeepsWhatWasKnownAndIsToldOnce) {
  EXPECT_TRUE(absl::IsNotFound(passwords_.Reload().status()));
  EXPECT_TRUE(passwords_.Reload().ok()) << "told already";
  Put("vm-1", "secret-1");
  ASSERT_TRUE(passwords_.Reload().value());
  std::ofstream(path_, std::ios::app) << "junk\n";
  const auto broken = passwords_.Reload();
  ASSERT_FALSE(broken.ok());
  EXPECT_THAT(std::string(broken.status().message()), HasSubstr("line 2"));
  EXPECT_FALSE(passwords_.Reload().value());
  EXPECT_TRUE(passwords_.Verify("vm-1", "secret-1"));
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(passwords_.Reload().status()));
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  EXPECT_FALSE(passwords_.Reload().ok());
  ASSERT_EQ(std::remove(path_.c_str()), 0);
  EXPECT_TRUE(absl::IsNotFound(passwords_.Reload().status()));
  Put("vm-2", "secret-2");
  ASSERT_TRUE(passwords_.Reload().value());
  EXPECT_TRUE(passwords_.Verify("vm-2", "secret-2"));
  EXPECT_FALSE(passwords_.Verify("vm-1", "secret-1"));
}

TEST_F(DevicePasswordsTest, AnUnknownNameCostsWhatSomeKnownOneCosts) {
  Put("vm-1", "secret-1", {.log_n = 12});
  ASSERT_TRUE(passwords_.Reload().ok());
  // The cheapest of a few of each, in turns: caches and clock rates that others change hit both.
  double known = 1e9, unknown = 1e9;
  for (int i = 0; i < 10; ++i) {
    known = std::min(known, VerifyMs("vm-1"));
    unknown = std::min(unknown, VerifyMs("vm-9"));
  }
  // Four times the cost of the cheapest line, so that a shortcut would be far below.
  EXPECT_GT(unknown, known / 2);
  EXPECT_LT(unknown, known * 2);
}

TEST_F(DevicePasswordsTest, WhatItRemembersIsBounded) {
  // The cheapest line there is: 4096 of them take a few seconds.
  const ScryptCost cheap{.log_n = 10, .r = 1, .p = 1};
  Put("vm-0", "p", cheap);
  Put("vm-1", "p", cheap);
  ASSERT_TRUE(passwords_.Reload().ok());
  ASSERT_TRUE(passwords_.Verify("vm-0", "p"));
  for (size_t i = 0; i < DevicePasswords::kRemembered; ++i) {
    Put("vm-1", "p", cheap);   // another salt: another line
    ASSERT_TRUE(passwords_.Reload().ok());
    ASSERT_TRUE(passwords_.Verify("vm-1", "p"));
    if (i + 1 < DevicePasswords::kRemembered) {
      ASSERT_TRUE(passwords_.Recall("vm-0", "p"));
    }
  }
  EXPECT_FALSE(passwords_.Recall("vm-0", "p"));
  EXPECT_TRUE(passwords_.Recall("vm-1", "p"));
}

}  // namespace
}  // namespace sluice::transport
