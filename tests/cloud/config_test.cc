#include "cloud/config.h"

#include <gmock/gmock.h>

#include "base/file.h"
#include "base/strings.h"

namespace sluice::cloud {
namespace {

using ::testing::HasSubstr;

std::string Fault(std::string_view toml) {
  Config config;
  return std::string(MessageOf(ReadToml(toml, "c.toml", config)));
}

TEST(ConfigTest, TheExampleIsReadAndSaysTheDefaults) {
  const auto text = ReadFile(StrCat(getenv("SLUICE_SOURCE") ? getenv("SLUICE_SOURCE") : ".", "/cloud/example.toml"));
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  Config config;
  ASSERT_TRUE(ReadToml(*text, "example.toml", config).ok());
  const Config defaults;
  EXPECT_EQ(config.services, defaults.services);
  EXPECT_EQ(config.listen, defaults.listen);
  EXPECT_EQ(config.credit_items, defaults.credit_items);
  EXPECT_EQ(config.credit_bytes, defaults.credit_bytes);
  EXPECT_EQ(config.lease_ms, defaults.lease_ms);
  EXPECT_EQ(config.drain_ms, defaults.drain_ms);
  EXPECT_EQ(config.bus_days, defaults.bus_days);
  EXPECT_EQ(config.audit_days, defaults.audit_days);
  EXPECT_EQ(config.bus_file_bytes, defaults.bus_file_bytes);
  EXPECT_EQ(config.bus_files, defaults.bus_files);
}

TEST(ConfigTest, FaultsNameFileLineAndKey) {
  EXPECT_THAT(Fault("data_dir = 3"), HasSubstr("c.toml:1: data_dir: must be text"));
  EXPECT_THAT(Fault("\n[sync]\ncredit = 3"), HasSubstr("c.toml:3: sync.credit: no such key"));
  EXPECT_THAT(Fault("[sync]\nlease_ms = 1"), HasSubstr("sync.lease_ms: must be an integer from 1000"));
  EXPECT_THAT(Fault("[retention]\nbus_days = -1"), HasSubstr("retention.bus_days: must be an integer from 0"));
  EXPECT_THAT(Fault("[retention]\nbus_files = 1"), HasSubstr("retention.bus_files: must be an integer from 2"));
  EXPECT_THAT(Fault("tls = 1"), HasSubstr("tls: must be a table"));
  EXPECT_THAT(Fault("services = [1]"), HasSubstr("a list of texts"));
  EXPECT_THAT(Fault("x = "), HasSubstr("c.toml:1"));
}

TEST(ConfigTest, WhatIsMissingIsNamed) {
  Config config;
  config.services = {"shop", "shop"};
  EXPECT_THAT(std::string(MessageOf(Check(config))), HasSubstr("twice"));
  config.services = {"payroll"};
  EXPECT_THAT(std::string(MessageOf(Check(config))), HasSubstr("payroll"));
  config.services = {"shop"};
  config.listen["shop"] = "nowhere";
  EXPECT_THAT(std::string(MessageOf(Check(config))), HasSubstr("host:port"));
  config.listen["shop"] = "127.0.0.1:0";
  EXPECT_THAT(std::string(MessageOf(Check(config))), HasSubstr("data_dir"));
  config.data_dir = "/tmp";
  config.log_level = "loud";
  EXPECT_THAT(std::string(MessageOf(Check(config))), HasSubstr("choose of debug"));
  config.log_level = "warn";
  EXPECT_THAT(std::string(MessageOf(Check(config))), HasSubstr("trust_domain"));
}

}  // namespace
}  // namespace sluice::cloud
