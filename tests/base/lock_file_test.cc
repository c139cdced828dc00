#include "base/lock_file.h"

#include <gtest/gtest.h>
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

}  // namespace
}  // namespace sluice
