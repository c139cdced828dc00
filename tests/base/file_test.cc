#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "base/unique_fd.h"
#include "tests/fakes/temp_folder.h"

namespace sluice {
namespace {

constexpr size_t kBytes = 1 << 20;
constexpr size_t kPage = 4096;

size_t CachedPages(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY));
  void* const at = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd.get(), 0);
  EXPECT_NE(at, MAP_FAILED);
  std::vector<unsigned char> resident(kBytes / kPage);
  EXPECT_EQ(mincore(at, kBytes, resident.data()), 0);
  munmap(at, kBytes);
  size_t count = 0;
  for (const unsigned char page : resident) count += page & 1U;
  return count;
}

TEST(FileTest, WhatIsReadAfterDropCacheComesFromTheMedium) {
  const fakes::TempFolder folder;
  struct statfs info {};
  ASSERT_EQ(statfs(folder.path().c_str(), &info), 0);
  constexpr long kTmpfs = 0x01021994;
  if (info.f_type == kTmpfs) GTEST_SKIP() << "tmpfs has no medium";
  PosixFileSystem files;
  auto file = files.Open(folder / "file", FileSystem::Mode::kCreateNew);
  ASSERT_TRUE(file.ok()) << file.status();
  const std::string bytes(kBytes, 'x');
  ASSERT_EQ((*file)->WriteAt(0, bytes).value(), kBytes);
  (*file)->DropCache();
  EXPECT_EQ(CachedPages(folder / "file"), kBytes / kPage) << "what is not yet written stays";
  ASSERT_TRUE((*file)->Sync().ok());
  EXPECT_EQ(CachedPages(folder / "file"), kBytes / kPage);
  (*file)->DropCache();
  EXPECT_EQ(CachedPages(folder / "file"), 0u);
  EXPECT_EQ((*file)->ReadAt(0, kBytes).value(), bytes);
}

}  // namespace
}  // namespace sluice
