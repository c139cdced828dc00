#include "devices/lines/driver.h"

#include <cstdlib>
#include <filesystem>

#include "base/strings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/fake_event_sink.h"
#include "tests/fakes/pty.h"

namespace sluice::lines {
namespace {

using event::v1::Status;
using fakes::FakeEventSink;
using fakes::Pty;
using ::testing::HasSubstr;

LineSourceConfig Config(const std::string& port, const std::string& profile, const std::string& device) {
  const char* root = std::getenv("SLUICE_SOURCE");
  LineSourceConfig config;
  config.name = "test";
  config.port = port;
  config.profile_file = StrCat(root ? root : ".", "/devices/lines/profiles/", profile, ".toml");
  config.device = device;
  config.retry_min_ms = 20;
  return config;
}

class LineSourceTest : public ::testing::Test {
 protected:
  std::unique_ptr<devices::Driver> Start(LineSourceConfig config) {
    auto source = MakeLineSource(std::move(config), loop_, sink_);
    EXPECT_TRUE(source.ok()) << source.status();
    EXPECT_TRUE((*source)->Start().ok());
    return *std::move(source);
  }

  FakeEventSink sink_;
  std::shared_ptr<transport::SerialLoop> loop_ = transport::MakeSerialLoop();
};

TEST_F(LineSourceTest, AScaleComesOnlineWeighsAndFallsSilent) {
  Pty pty;
  LineSourceConfig config = Config(pty.name(), "scale-cas", "scale-1");
  config.offline_after_ms = 200;
  auto source = Start(config);
  pty.Write("5 kg\r\nST,GS,1A,  12.345 kg\r\nUS,GS,1A,  13.000 kg\r\nST,GS,1A,  12.345 kg\r\n");
  ASSERT_TRUE(sink_.WaitForEvents(3));
  const auto events = sink_.events();
  EXPECT_EQ(events[0].status().state(), Status::STATE_ONLINE);
  EXPECT_EQ(events[1].telemetry().measurements_size(), 3);
  EXPECT_EQ(events[2].status().state(), Status::STATE_OFFLINE);
  EXPECT_THAT(events[2].status().text(), HasSubstr("silent for 200 ms"));
  ASSERT_EQ(sink_.rejections().size(), 1U);
  EXPECT_EQ(sink_.rejections()[0].head, "5 kg");
  EXPECT_EQ(sink_.rejections()[0].device_id, "scale-1");
  EXPECT_EQ(sink_.rejections()[0].where, pty.name());
  pty.Write("ST,GS,1A,  12.345 kg\r\n");
  ASSERT_TRUE(sink_.WaitForEvents(5));
  EXPECT_EQ(sink_.events()[3].status().state(), Status::STATE_ONLINE);
  EXPECT_TRUE(sink_.events()[4].has_telemetry());   // it was away: what it says now is news
  EXPECT_EQ(source->Status().state, "connected");
  EXPECT_EQ(source->Status().rejected, 1U);
  EXPECT_EQ(source->receipts(), nullptr);
  source->Stop();
  EXPECT_EQ(source->Status().state, "closed");
}

TEST_F(LineSourceTest, APolledScaleIsAsked) {
  Pty pty;
  auto source = Start(Config(pty.name(), "scale-sics", "scale-2"));
  EXPECT_EQ(pty.Read(4), "SI\r\n");
  pty.Write("S S      1.245 kg\r\n");
  ASSERT_TRUE(sink_.WaitForEvents(2));
  EXPECT_EQ(sink_.events()[1].telemetry().measurements(1).name(), "weight");
  source->Stop();
}

TEST_F(LineSourceTest, OurOwnEventsAreAnsweredWithReceipts) {
  Pty pty;
  auto source = Start(Config(pty.name(), "json-lines", ""));
  pty.Write("{\"device\":\"vend-7\",\"kind\":\"refill\",\"boot\":3,\"seq\":1,\"product\":\"p\",\"quantity\":2}\n"
            "garbage\n"
            "{\"device\":\"vend-8\",\"kind\":\"refill\",\"boot\":1,\"seq\":5,\"product\":\"p\",\"quantity\":0}\n");
  ASSERT_TRUE(sink_.WaitForEvents(1));
  ASSERT_TRUE(sink_.WaitForRejections(2));
  EXPECT_FALSE(sink_.rejections()[0].has_sequence);
  EXPECT_TRUE(sink_.rejections()[1].has_sequence);
  EXPECT_EQ(sink_.rejections()[1].device_id, "vend-8");
  EXPECT_EQ(sink_.rejections()[1].seq, 5U);
  devices::Receipt foreign;
  foreign.device_id = "never-heard";
  foreign.boot = 1;
  source->receipts()->SendReceipt(foreign);
  devices::Receipt receipt;
  receipt.device_id = "vend-7";
  receipt.boot = 3;
  receipt.ranges = {{1, 1}};
  source->receipts()->SendReceipt(receipt);
  const std::string expected = "{\"ack\":{\"device\":\"vend-7\",\"boot\":3,\"ranges\":[[1,1]]}}\n";
  EXPECT_EQ(pty.Read(expected.size()), expected);
  source->Stop();
}

TEST_F(LineSourceTest, APortWithOneDeviceNeedsNoNameInItsReceipts) {
  Pty pty;
  auto source = Start(Config(pty.name(), "json-lines", "till-1"));
  pty.Write("{\"kind\":\"refill\",\"boot\":3,\"seq\":1,\"product\":\"p\",\"quantity\":2}\n");
  ASSERT_TRUE(sink_.WaitForEvents(1));
  devices::Receipt receipt;
  receipt.device_id = "till-1";
  receipt.boot = 3;
  receipt.ranges = {{1, 1}};
  source->receipts()->SendReceipt(receipt);
  const std::string expected = "{\"ack\":{\"boot\":3,\"ranges\":[[1,1]]}}\n";
  EXPECT_EQ(pty.Read(expected.size()), expected);
  source->Stop();
}

TEST_F(LineSourceTest, ARefusedDeviceIsToldToo) {
  Pty pty;
  auto source = Start(Config(pty.name(), "json-lines", ""));
  pty.Write("{\"device\":\"vend-8\",\"kind\":\"refill\",\"boot\":1,\"seq\":5,\"product\":\"p\",\"quantity\":0}\n");
  ASSERT_TRUE(sink_.WaitForRejections(1));
  devices::Receipt receipt;
  receipt.device_id = "vend-8";
  receipt.boot = 1;
  receipt.refused.push_back({.seq = 5, .message_id = "", .reason = "quantity"});
  source->receipts()->SendReceipt(receipt);
  const std::string expected = "{\"ack\":{\"device\":\"vend-8\",\"boot\":1,\"ranges\":[],\"refused\":[{\"seq\":5,\"reason\":\"quantity\"}]}}\n";
  EXPECT_EQ(pty.Read(expected.size()), expected);
  source->Stop();
}

TEST_F(LineSourceTest, AnUnpluggedScaleIsOfflineAndComesBackUnderItsLink) {
  std::string folder = std::filesystem::temp_directory_path().string() + "/sluice-lines-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string link = folder + "/usb-scale";
  auto first = std::make_unique<Pty>();
  std::filesystem::create_symlink(first->name(), link);
  LineSourceConfig config = Config(link, "scale-cas", "scale-1");
  config.offline_after_ms = 60'000;
  auto source = Start(config);
  first->Write("ST,GS,1A,  12.345 kg\r\nST,G");
  ASSERT_TRUE(sink_.WaitForEvents(2));
  Pty second;
  first->Unplug();
  ASSERT_TRUE(sink_.WaitForEvents(3));
  EXPECT_EQ(sink_.events()[2].status().state(), Status::STATE_OFFLINE);
  EXPECT_THAT(sink_.events()[2].status().text(), HasSubstr("port closed"));
  std::filesystem::remove(link);
  std::filesystem::create_symlink(second.name(), link);
  second.Write("ST,GS,1A,  12.345 kg\r\n");
  ASSERT_TRUE(sink_.WaitForEvents(5));
  EXPECT_EQ(sink_.events()[3].status().state(), Status::STATE_ONLINE);
  EXPECT_TRUE(sink_.events()[4].has_telemetry());
  source->Stop();
  std::filesystem::remove_all(folder);
}

TEST_F(LineSourceTest, ConfigurationThatCannotWorkIsRefused) {
  const auto told = [&](LineSourceConfig config) {
    return std::string(MessageOf(MakeLineSource(std::move(config), loop_, sink_).status()));
  };
  EXPECT_THAT(told(Config("/dev/ttyS0", "scale-cas", "")), HasSubstr("device: missing"));
  EXPECT_THAT(told(Config("/dev/ttyS0", "scale-cas", "a/b")), HasSubstr("device: must be"));
  EXPECT_THAT(told(Config("ttyS0", "scale-cas", "a")), HasSubstr("port: must be"));
  EXPECT_THAT(told(Config("/dev/ttyS0", "no-such", "a")), HasSubstr("no-such.toml"));
}

}  // namespace
}  // namespace sluice::lines
