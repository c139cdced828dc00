// Whatever happened to the key's file there is a key afterwards, and what was wrong is told.
#include "base/seal_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>

#include "base/file.h"
#include "base/strings.h"
#include "tests/fakes/temp_folder.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class SealKeyTest : public ::testing::Test {
 protected:
  SealKey Open() { return SealKey::Open(folder_.path(), random_); }
  std::string Seal(const SealKey& key) { return key.sealer().Seal(epoch_, 1, 1, "", "x"); }
  bool Opens(const SealKey& key, const std::string& sealed) { return key.sealer().Open(epoch_, "", sealed).ok(); }
  int ModeOf(const std::string& path) {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 ? static_cast<int>(info.st_mode & 0777) : -1;
  }
  void Write(const std::string& path, const std::string& content) { ASSERT_TRUE(WriteFileAtomically(path, content).ok()); }

  fakes::TempFolder folder_;
  SystemRandom random_;
  EpochId epoch_;
  const std::string key_ = folder_ / "seal.key", spare_ = folder_ / "seal.spare";
};

TEST_F(SealKeyTest, IsMadeOnceAndIsPrivate) {
  const SealKey first = Open();
  EXPECT_FALSE(first.replaced());
  EXPECT_TRUE(first.kept());
  EXPECT_EQ(ModeOf(key_), 0600);
  EXPECT_EQ(ModeOf(spare_), 0600);
  const SealKey second = Open();
  EXPECT_FALSE(second.replaced());
  EXPECT_TRUE(Opens(second, Seal(first)));
}

TEST_F(SealKeyTest, WhateverIsWrongWithTheFileItIsSetAsideAndReplaced) {
  const std::pair<const char*, std::function<void()>> cases[] = {
      {"empty", [&] { fs::resize_file(key_, 0); }},
      {"half", [&] { fs::resize_file(key_, 16); }},
      {"longer", [&] { fs::resize_file(key_, 33); }},
      {"zeros", [&] { Write(key_, std::string(32, '\0')); }},
      {"garbage of the right length", [&] { Write(key_, std::string(32, 'z')); }},
      {"a folder", [&] { fs::remove(key_), fs::create_directory(key_); }},
      {"a link to nowhere", [&] { fs::remove(key_), fs::create_symlink("nowhere", key_); }},
  };
  int n = 0;
  for (const auto& [what, damage] : cases) {
    const std::string before = Seal(Open());
    damage();
    const SealKey after = Open();
    EXPECT_TRUE(after.replaced()) << what;
    EXPECT_TRUE(after.kept()) << what;
    EXPECT_FALSE(after.problem().empty()) << what;
    EXPECT_EQ(after.set_aside(), StrCat(key_, ".bad-", ++n)) << what;
    EXPECT_TRUE(fs::exists(fs::symlink_status(after.set_aside()))) << what;
    EXPECT_FALSE(Opens(after, before)) << what;
    const SealKey later = Open();
    EXPECT_FALSE(later.replaced()) << what;
    EXPECT_TRUE(Opens(later, Seal(after))) << what;
  }
}

TEST_F(SealKeyTest, AMissingOneIsTold) {
  const std::string before = Seal(Open());
  fs::remove(key_);
  const SealKey after = Open();
  EXPECT_TRUE(after.replaced());
  EXPECT_TRUE(after.set_aside().empty());
  EXPECT_FALSE(Opens(after, before));
}

TEST_F(SealKeyTest, OneThatOthersCanReadIsMadePrivate) {
  const std::string before = Seal(Open());
  EXPECT_FALSE(Open().was_exposed());
  fs::permissions(key_, fs::perms(0644));
  const SealKey after = Open();
  EXPECT_TRUE(after.was_exposed());
  EXPECT_EQ(ModeOf(key_), 0600);
  EXPECT_TRUE(Opens(after, before));
}

TEST_F(SealKeyTest, ADamagedSpareIsMadeAnewAndCostsNothing) {
  const std::string before = Seal(Open());
  for (const std::string& content : {std::string(), std::string(76, 'z'), std::string(200, '\0')}) {
    Write(spare_, content);
    EXPECT_TRUE(Opens(Open(), before));
  }
  fs::remove(spare_);
  fs::create_directory(spare_);
  EXPECT_TRUE(Opens(Open(), before));
  // It works again.
  fs::resize_file(key_, 3);
  EXPECT_TRUE(Open().replaced());
}

// As on a full disk: what is renamed can be renamed, what would be new cannot be made.
TEST_F(SealKeyTest, WithoutRoomForAFileTheSpareIsTheKey) {
  const SealKey first = Open();
  fs::resize_file(key_, 0);
  fs::create_directory(key_ + ".new");
  fs::create_directory(spare_ + ".new");
  const SealKey second = Open();
  EXPECT_TRUE(second.replaced());
  EXPECT_TRUE(second.kept());
  EXPECT_TRUE(second.sealer().may_seal());
  EXPECT_FALSE(fs::exists(key_));
  const std::string sealed = Seal(second);
  EXPECT_TRUE(Opens(Open(), sealed)) << "the same one at each start until it can be written";
  fs::remove(key_ + ".new");
  EXPECT_TRUE(Opens(Open(), sealed));
  EXPECT_TRUE(fs::exists(key_));
  const SealKey halfway = Open();
  EXPECT_FALSE(halfway.replaced()) << "its spare is still the old one";
  EXPECT_TRUE(Opens(halfway, sealed));
  fs::remove(spare_ + ".new");
  EXPECT_TRUE(Opens(Open(), sealed));
  fs::resize_file(key_, 0);
  EXPECT_FALSE(Opens(Open(), sealed)) << "another one by now";
}

TEST_F(SealKeyTest, AKeyThatCannotBeKeptSealsNothingUntilItIs) {
  fs::create_directory(key_ + ".new");
  SealKey key = Open();
  EXPECT_FALSE(key.replaced());
  EXPECT_FALSE(key.kept());
  EXPECT_FALSE(key.sealer().may_seal());
  EXPECT_FALSE(key.Keep(random_));
  fs::remove(key_ + ".new");
  EXPECT_TRUE(key.Keep(random_));
  EXPECT_TRUE(key.sealer().may_seal());
  EXPECT_TRUE(Opens(Open(), Seal(key)));
}

}  // namespace
}  // namespace sluice
