#include "base/lock_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "tests/fakes/temp_folder.h"

namespace sluice {
namespace {

TEST(LockFileTest, OnlyOneHolderAndItIsNamed) {
  fakes::TempFolder folder;
  const std::string path = folder / "lock";
  {
    const auto first = LockFile::Acquire(path);
    ASSERT_TRUE(first.ok()) << first.status();
    const auto second = LockFile::Acquire(path);
    EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
    EXPECT_NE(second.status().ToString().find(std::to_string(getpid())), std::string::npos) << second.status();
  }
  EXPECT_TRUE(LockFile::Acquire(path).ok()) << "let go with its holder";
}

TEST(LockFileTest, WhatLiesInItsPlaceKeepsNobodyFromTheLock) {
  fakes::TempFolder folder;
  const std::string path = folder / "lock";
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  const auto first = LockFile::Acquire(path);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(LockFile::Acquire(path).status()));
}

TEST(LockFileTest, AFileThatIsHeldByItselfIsHeld) {
  fakes::TempFolder folder;
  const std::string path = folder / "lock";
  const UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(flock(file.get(), LOCK_EX), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(LockFile::Acquire(path).status()));
}

}  // namespace
}  // namespace sluice
