#include "gateway/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"

namespace sluice::config {
namespace {

using ::testing::HasSubstr;

std::filesystem::path Source() { return std::getenv("SLUICE_SOURCE"); }

std::string Contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ConfigTest, AnEmptyFileGivesTheDefaults) {
  const auto config = ParseConfig("", "sluiced.toml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->gateway.state_dir, "/var/lib/sluice");
  EXPECT_EQ(config->journal.segment_bytes, 8u << 20);
  EXPECT_TRUE(config->mqtt.empty());
}

TEST(ConfigTest, TakesWhatTheFileSays) {
  const auto config = ParseConfig(R"(
[cloud]
inventory = "[::1]:50051"
[outbox]
memory_bytes = "32 MiB"
quota_bytes = 268435456
[[mqtt]]
name = "main"
url = "mqtts://broker.example.com:8883"
username = "gw"
password_file = "secret"
[[listener]]
name = "plain"
bind = "127.0.0.1:1883"
password_file = "passwd"
topics = ["tele/{device}/#", "spBv1.0/shop/+/{device}/#"]
max_waiting_bytes = "16 MiB"
[[serial]]
name = "scale-1"
device_id = "scale-1"
port = "/dev/serial/by-id/x"
profile = "scale.toml"
[serial.rs485]
enabled = true
delay_after_send_ms = 2
)",
                                  "sluiced.toml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->cloud.inventory, "[::1]:50051");
  EXPECT_EQ(config->outbox.memory_bytes, 32u << 20);
  EXPECT_EQ(config->outbox.quota_bytes, 256u << 20);
  ASSERT_EQ(config->mqtt.size(), 1u);
  EXPECT_EQ(config->mqtt[0].password_file, "secret");
  ASSERT_EQ(config->listener.size(), 1u);
  EXPECT_EQ(config->listener[0].bind, "127.0.0.1:1883");
  EXPECT_EQ(config->listener[0].topics, (std::vector<std::string>{"tele/{device}/#", "spBv1.0/shop/+/{device}/#"}));
  EXPECT_EQ(config->listener[0].max_waiting_bytes, 16u << 20);
  ASSERT_EQ(config->serial.size(), 1u);
  EXPECT_TRUE(config->serial[0].rs485.enabled);
  EXPECT_EQ(config->serial[0].rs485.delay_after_send_ms, 2);
}

// Each case is a pair of files: a configuration and the errors that it must yield, to the letter.
TEST(ConfigTest, EachErrorNamesLineKeyValueAndWhatIsAllowed) {
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(Source() / "tests/gateway/config/cases")) {
    if (entry.path().extension() != ".toml") continue;
    ++cases;
    const auto config = ParseConfig(Contents(entry.path()), entry.path().filename().string());
    std::filesystem::path golden = entry.path();
    golden.replace_extension(".errors");
    ASSERT_FALSE(config.ok()) << entry.path();
    const std::string message = std::string(config.status().message()) + "\n";
    if (std::getenv("SLUICE_WRITE_GOLDEN") != nullptr) std::ofstream(golden) << message;
    EXPECT_EQ(message, Contents(golden)) << entry.path();
  }
  EXPECT_GE(cases, 8);
}

TEST(ConfigTest, NeverRepeatsWhatMayBeASecret) {
  for (const std::string text : {"[[mqtt]]\nname=\"a\"\nurl=\"mqtt://user:hunter2@b:1\"\n",
                                 "[[mqtt]]\nname=\"a\"\nurl=\"mqtt://b:1\"\npassword=\"hunter2\"\n",
                                 "[identity]\nprivate_key_pem=\"hunter2\"\n"}) {
    const auto config = ParseConfig(text, "f");
    ASSERT_FALSE(config.ok());
    EXPECT_THAT(std::string(config.status().message()), ::testing::Not(HasSubstr("hunter2")));
  }
}

TEST(ConfigTest, WhatIsPrintedReadsBackToTheSame) {
  auto config = ParseConfig(Contents(Source() / "packaging/config/sluiced.toml"), "sluiced.toml");
  ASSERT_TRUE(config.ok()) << config.status();
  config->mqtt[0].client_id = "with \"quotes\" and \\";
  config->outbox.memory_bytes = (32u << 20) + 1;
  config->serial.resize(2);
  for (int i : {0, 1}) {
    config->serial[i].name = config->serial[i].device_id = "s" + std::to_string(i);
    config->serial[i].port = "/dev/ttyS" + std::to_string(i);
    config->serial[i].profile = "p.toml";
  }
  config->serial[1].rs485.enabled = true;
  config->listener.resize(1);
  config->listener[0].name = "l";
  config->listener[0].bind = "[::1]:1883";
  config->listener[0].password_file = "p";
  config->listener[0].topics = {"a/{device}", "\"b\"/{device}/#"};
  const std::string printed = PrintConfig(*config);
  const auto again = ParseConfig(printed, "printed");
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << printed;
  EXPECT_EQ(PrintConfig(*again), printed);
  EXPECT_TRUE(again->serial[1].rs485.enabled);
  EXPECT_EQ(again->listener[0].topics, config->listener[0].topics);
}

TEST(ConfigTest, TheShippedExampleIsValidAndGivesTheDefaults) {
  const std::string example = Contents(Source() / "packaging/config/sluiced.toml");
  const auto config = ParseConfig(example, "sluiced.toml");
  ASSERT_TRUE(config.ok()) << config.status();
  // With every "#key = value" line taken in it is valid too, has every key, and says nothing but the defaults.
  const std::string all = std::regex_replace(example, std::regex("(^|\n)#(\\[|[a-z_0-9]+ = )"), "$1$2");
  const auto full = ParseConfig(all, "uncommented");
  ASSERT_TRUE(full.ok()) << full.status();
  ASSERT_EQ(full->serial.size(), 1u);
  Config expected = *config;
  expected.serial = full->serial;
  ASSERT_EQ(full->listener.size(), 1u);
  expected.listener = {Listener()};   // its defaults, but for what has none
  for (std::string Listener::*key : {&Listener::name, &Listener::bind, &Listener::certificate_file, &Listener::key_file,
                                     &Listener::client_ca_file, &Listener::password_file}) {
    expected.listener[0].*key = full->listener[0].*key;
  }
  expected.mqtt[0].password_file = full->mqtt[0].password_file;
  expected.mqtt[0].username = full->mqtt[0].username;
  EXPECT_EQ(PrintConfig(*full), PrintConfig(expected));
  std::string line;
  std::istringstream printed(PrintConfig(*full));
  while (std::getline(printed, line)) {
    const std::string key = line.substr(0, line.find(" = "));
    if (key.empty()) continue;
    EXPECT_THAT(all, HasSubstr("\n" + key)) << "the example lacks it";
  }
}

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "config_test.XXXXXX").string();
    folder = mkdtemp(pattern.data());
    for (const char* name : {"gateway.pem", "gateway.key", "ca.pem", "secret"}) Put(name, 0600);
  }
  ~FilesTest() override { std::filesystem::remove_all(folder); }
  void Put(const std::string& name, int mode) {
    ASSERT_TRUE(WriteFileAtomically((folder / name).string(), "x", mode).ok());
    ASSERT_EQ(chmod((folder / name).c_str(), static_cast<mode_t>(mode)), 0);
  }
  absl::StatusOr<Config> Load() {
    std::ofstream(folder / "sluiced.toml") << R"(
[identity]
certificate = "gateway.pem"
private_key = "gateway.key"
trust = "ca.pem"
[[mqtt]]
name = "main"
url = "mqtt://localhost:1883"
username = "gw"
password_file = "secret"
)";
    return LoadConfig((folder / "sluiced.toml").string());
  }
  std::filesystem::path folder;
};

TEST_F(FilesTest, RelativePathsStartAtTheFilesFolder) {
  const auto config = Load();
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->mqtt[0].password_file, (folder / "secret").string());
  EXPECT_EQ(config->gateway.state_dir, "/var/lib/sluice");
  EXPECT_TRUE(CheckFiles(*config).ok()) << CheckFiles(*config);
}

TEST_F(FilesTest, SecretsThatOthersMayReadAreRefused) {
  Put("secret", 0640);
  Put("gateway.key", 0644);
  Put("ca.pem", 0644);
  const absl::Status status = CheckFiles(*Load());
  EXPECT_THAT(std::string(status.message()), HasSubstr("mqtt[0].password_file"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("identity.private_key"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("chmod 600"));
  EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr("trust")));
  Put("secret", 0400);
  Put("gateway.key", 0600);
  EXPECT_TRUE(CheckFiles(*Load()).ok());
}

TEST_F(FilesTest, ThePasswordsOfDevicesMayBeReadByTheGroupAndTheServersKeyMayNot) {
  auto config = Load();
  config->listener.resize(1);
  config->listener[0].password_file = (folder / "secret").string();
  config->listener[0].key_file = (folder / "gateway.key").string();
  config->mqtt.clear();
  for (const int mode : {0640, 0600, 0440, 0400}) {
    Put("secret", mode);
    EXPECT_TRUE(CheckFiles(*config).ok()) << CheckFiles(*config);
    chmod((folder / "secret").c_str(), 0600);
  }
  for (const int mode : {0644, 0660, 0666, 0700}) {
    Put("secret", mode);
    EXPECT_THAT(std::string(CheckFiles(*config).message()), HasSubstr("listener[0].password_file")) << mode;
  }
  Put("secret", 0640);
  Put("gateway.key", 0640);
  EXPECT_THAT(std::string(CheckFiles(*config).message()), HasSubstr("listener[0].key_file"));
  config->listener[0].client_ca_file = (folder / "nothing.pem").string();
  EXPECT_THAT(std::string(CheckFiles(*config).message()), HasSubstr("listener[0].client_ca_file"));
}

TEST_F(FilesTest, FilesThatAreNotThereAreNamed) {
  std::filesystem::remove(folder / "ca.pem");
  EXPECT_THAT(std::string(CheckFiles(*Load()).message()), HasSubstr("identity.trust"));
  EXPECT_FALSE(LoadConfig((folder / "nothing.toml").string()).ok());
}

}  // namespace
}  // namespace sluice::config
