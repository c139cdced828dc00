#include "base/password_hash.h"

#include <gmock/gmock.h>

#include <set>

#include "absl/strings/escaping.h"
#include "base/strings.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kGood = "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

// RFC 7914, section 12.
TEST(PasswordHashTest, MatchesTheVectorsOfTheStandard) {
  const PasswordHash second{.cost = {.log_n = 10, .r = 8, .p = 16},
                            .salt = "NaCl",
                            .hash = absl::HexStringToBytes("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                                                           "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640")};
  EXPECT_TRUE(IsPassword("password", second));
  const PasswordHash third{.cost = {.log_n = 14, .r = 8, .p = 1},
                           .salt = "SodiumChloride",
                           .hash = absl::HexStringToBytes("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
                                                          "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887")};
  EXPECT_TRUE(IsPassword("pleaseletmein", third));
  EXPECT_FALSE(IsPassword("pleaseletmeIn", third));
  EXPECT_FALSE(IsPassword("", third));
}

TEST(PasswordHashTest, WhatIsHashedMatchesAndNothingElse) {
  SystemRandom random;
  const auto hash = HashPassword("correct horse", kGeneratedPasswordCost, random);
  ASSERT_TRUE(hash.ok());
  EXPECT_TRUE(IsPassword("correct horse", *hash));
  EXPECT_FALSE(IsPassword("correct horse ", *hash));
  EXPECT_FALSE(IsPassword(std::string_view("correct horse\0", 14), *hash));
  EXPECT_FALSE(HashPassword("", kGeneratedPasswordCost, random).ok());
  EXPECT_FALSE(HashPassword(std::string_view("a\0", 2), kGeneratedPasswordCost, random).ok());
  const auto again = HashPassword("correct horse", kGeneratedPasswordCost, random);
  EXPECT_NE(again->salt, hash->salt);
  EXPECT_NE(again->hash, hash->hash);
  EXPECT_EQ(PasswordHash::Parse(hash->ToString()).value(), *hash);
}

TEST(PasswordHashTest, ReadsWhatItWrites) {
  const auto parsed = PasswordHash::Parse(kGood);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->cost, (ScryptCost{.log_n = 10, .r = 8, .p = 1}));
  EXPECT_EQ(parsed->salt, "saltsaltsaltsalt");
  EXPECT_EQ(parsed->hash.size(), 32u);
  EXPECT_EQ(parsed->ToString(), kGood);
}

TEST(PasswordHashTest, RefusesEverythingElseAndRepeatsNothingOfIt) {
  const std::vector<std::pair<std::string_view, std::string_view>> cases = {
      {"", "must begin with $scrypt$"},
      {"hunter2", "must begin with $scrypt$"},
      {"$scrypt$ln=9,r=8,p=1$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw", "ln from 10 to 20"},
      {"$scrypt$ln=010,r=8,p=1$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw", "ln from 10 to 20"},
      {"$scrypt$ln=-1,r=8,p=1$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw", "ln from 10 to 20"},
      {"$scrypt$ln=99999999999,r=8,p=1$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw", "ln from 10 to 20"},
      {"$scrypt$ln=10,r=0,p=1$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw", "r from 1 to 32"},
      {"$scrypt$ln=10,r=8,p=17$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw", "p from 1 to 16"},
      {"$scrypt$ln=10,r=8$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw", "r from 1 to 32"},
      {"$scrypt$r=8,ln=10,p=1$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw", "ln from 10 to 20"},
      {"$scrypt$ln=20,r=32,p=1$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw", "more than 64 MiB"},
      {"$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ", "the hash is missing"},
      {"$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ=$AAECAwQFBgcICQoLDA0ODw", "the salt is not base64 without padding"},
      {"$scrypt$ln=10,r=8,p=1$c2FsdHNhbHR$AAECAwQFBgcICQoLDA0ODw", "the salt is not base64"},   // stray bits
      {"$scrypt$ln=10,r=8,p=1$c2 FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw", "the salt is not base64"},
      {"$scrypt$ln=10,r=8,p=1$c2E$AAECAwQFBgcICQoLDA0ODw", "the salt must have 8 to 64 bytes"},
      {"$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ$AAEC", "the hash must have 16 to 64 bytes"},
      {"$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0ODw$", "the hash is not base64"},
  };
  for (const auto& [text, why] : cases) {
    const auto parsed = PasswordHash::Parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(std::string(why))) << text;
    EXPECT_THAT(std::string(parsed.status().message()), Not(HasSubstr("c2FsdHNhbHQ")));
    EXPECT_THAT(std::string(parsed.status().message()), Not(HasSubstr("hunter2")));
  }
}

TEST(PasswordHashTest, GeneratedPasswordsHave130BitsOfPlainCharacters) {
  SystemRandom random;
  std::set<std::string> made;
  std::set<char> letters;
  for (int i = 0; i < 200; ++i) {
    const std::string password = GeneratePassword(random);
    ASSERT_EQ(password.size(), 26u);
    letters.insert(password.begin(), password.end());
    EXPECT_TRUE(made.insert(password).second);
  }
  EXPECT_EQ(letters.size(), 32u);
  for (const char unclear : std::string_view("ilouILO")) EXPECT_FALSE(letters.contains(unclear));
}

}  // namespace
}  // namespace sluice
