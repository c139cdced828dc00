#include "devices/native/driver.h"

#include <algorithm>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/fake_event_sink.h"
#include "tests/fakes/mosquitto_broker.h"

namespace sluice::native {
namespace {

using fakes::FakeEventSink;
using fakes::MosquittoBroker;
using ::testing::HasSubstr;
using transport::MqttVersion;

// A device of the test: an MQTT client that publishes and remembers receipts.
class Device {
 public:
  explicit Device(transport::MqttOptions options) {
    options.filters = {"sluice/v1/+/ack"};
    options.backoff = {.base_ms = 50, .factor = 2.0, .cap_ms = 200};
    client_ = transport::MakeMqttClient(std::move(options), {.on_message = [this](const transport::MqttMessage& message) {
                                          std::lock_guard lock(mu_);
                                          receipts_.push_back(StrCat(message.topic, " ", message.payload));
                                          changed_.notify_all();
                                          return transport::MqttTaken::kTaken;
                                        },
                                        .on_connected = [this] {
                                          std::lock_guard lock(mu_);
                                          connected_ = true;
                                          changed_.notify_all();
                                        },
                                        .on_published = [this] {
                                          std::lock_guard lock(mu_);
                                          ++published_;
                                          changed_.notify_all();
                                        }});
    EXPECT_TRUE(client_->Start().ok());
    std::unique_lock lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [this] { return connected_; }));
  }
  ~Device() { client_->Stop(); }

  // Published and acknowledged by the broker.
  bool Send(const std::string& topic, const std::string& payload, bool retain = false) {
    std::unique_lock lock(mu_);
    const int before = published_;
    lock.unlock();
    for (int i = 0; i < 2000 && !client_->Publish(topic, payload, 1, retain).ok(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    lock.lock();
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return published_ > before; });
  }
  bool WaitForReceipts(size_t count) {
    std::unique_lock lock(mu_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return receipts_.size() >= count; });
  }
  std::vector<std::string> receipts() {
    std::lock_guard lock(mu_);
    return receipts_;
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<std::string> receipts_;
  int published_ = 0;
  bool connected_ = false;
  std::unique_ptr<transport::MqttClient> client_;
};

std::string Refill(int seq) { return StrCat(R"({"boot":1,"seq":)", seq, R"(,"product":"p","quantity":1})"); }

std::vector<int> SeqsOf(const FakeEventSink& sink) {
  std::vector<int> seqs;
  for (const auto& event : sink.events()) seqs.push_back(static_cast<int>(event.sequence().seq()));
  return seqs;
}

template <typename Condition>
bool Eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class MqttSourceTest : public ::testing::TestWithParam<MqttVersion> {
 protected:
  void MakeBroker(MosquittoBroker::Options options = {}) {
    auto made = MosquittoBroker::Make(std::move(options));
    ASSERT_TRUE(made.ok()) << made.status();
    broker_ = *std::move(made);
  }
  MqttSourceConfig Config() const {
    MqttSourceConfig config;
    config.url = broker_->url();
    config.client_id = "gateway-1";
    config.version = GetParam();
    config.backoff_cap_ms = 200;
    return config;
  }
  transport::MqttOptions DeviceOptions() const {
    transport::MqttOptions options;
    options.url = broker_->url();
    options.client_id = "device-1";
    return options;
  }
  static bool Connected(const devices::Driver& source) {
    return Eventually([&] { return source.Status().state == "connected"; });
  }

  std::unique_ptr<MosquittoBroker> broker_;
};

INSTANTIATE_TEST_SUITE_P(Versions, MqttSourceTest, ::testing::Values(MqttVersion::k5, MqttVersion::k311),
                         [](const auto& param) { return param.param == MqttVersion::k5 ? "Mqtt5" : "Mqtt311"; });

TEST_P(MqttSourceTest, EventsComeInAndReceiptsGoOut) {
  MakeBroker();
  FakeEventSink sink;
  auto source = MakeMqttSource(Config(), sink);
  ASSERT_TRUE(source->Start().ok());
  ASSERT_TRUE(Connected(*source));
  Device device(DeviceOptions());
  for (int seq = 1; seq <= 20; ++seq) ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", Refill(seq)));
  ASSERT_TRUE(sink.WaitForEvents(20));
  EXPECT_EQ(SeqsOf(sink), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}));
  EXPECT_EQ(sink.events()[0].device_id(), "vend-1");
  EXPECT_EQ(sink.sources()[0], "mqtt:main");
  EXPECT_EQ(sink.wheres()[0], "sluice/v1/vend-1/refill");

  ASSERT_NE(source->receipts(), nullptr);
  devices::Receipt receipt;
  receipt.device_id = "vend-1";
  receipt.boot = 1;
  receipt.ranges = {{1, 20}};
  source->receipts()->SendReceipt(receipt);
  ASSERT_TRUE(device.WaitForReceipts(1));
  EXPECT_EQ(device.receipts()[0], R"(sluice/v1/vend-1/ack {"boot":1,"ranges":[[1,20]]})");
  // Another event behind the receipt shows that the receipt did not come back to us as an event.
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", Refill(21)));
  ASSERT_TRUE(sink.WaitForEvents(21));
  EXPECT_TRUE(sink.rejections().empty());
  EXPECT_TRUE(Eventually([&] { return source->Status().events == 21; }));
  source->Stop();
  EXPECT_EQ(source->Status().state, "closed");
}

TEST_P(MqttSourceTest, WhatCameWhileWeWereAwayIsDelivered) {
  MakeBroker();
  Device device(DeviceOptions());
  {
    FakeEventSink sink;
    auto source = MakeMqttSource(Config(), sink);
    ASSERT_TRUE(source->Start().ok());
    ASSERT_TRUE(Connected(*source));
    EXPECT_THAT(source->Status().detail, HasSubstr("new session"));
    source->Stop();
  }
  for (int seq = 1; seq <= 50; ++seq) ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", Refill(seq)));
  FakeEventSink sink;
  auto source = MakeMqttSource(Config(), sink);
  ASSERT_TRUE(source->Start().ok());
  ASSERT_TRUE(sink.WaitForEvents(50));
  ASSERT_TRUE(Connected(*source));
  EXPECT_THAT(source->Status().detail, HasSubstr("session kept"));
  EXPECT_EQ(sink.events().back().sequence().seq(), 50U);
  source->Stop();
}

TEST_P(MqttSourceTest, ComesBackAfterTheBrokerRestarts) {
  MakeBroker();
  FakeEventSink sink;
  auto source = MakeMqttSource(Config(), sink);
  ASSERT_TRUE(source->Start().ok());
  ASSERT_TRUE(Connected(*source));
  Device device(DeviceOptions());
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", Refill(1)));
  ASSERT_TRUE(sink.WaitForEvents(1));
  broker_->Stop();
  EXPECT_TRUE(Eventually([&] { return source->Status().state != "connected"; }));
  // A receipt without a connection waits for the next one.
  devices::Receipt receipt;
  receipt.device_id = "vend-1";
  receipt.boot = 1;
  receipt.ranges = {{1, 1}};
  source->receipts()->SendReceipt(receipt);
  ASSERT_TRUE(broker_->Start().ok());
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", Refill(2)));
  ASSERT_TRUE(sink.WaitForEvents(2));
  EXPECT_THAT(source->Status().detail, HasSubstr("session kept"));
  EXPECT_TRUE(device.WaitForReceipts(1));
  source->Stop();
}

TEST_P(MqttSourceTest, SubscribesAgainWhenTheBrokerForgotTheSession) {
  MakeBroker({.persistence = false});
  FakeEventSink sink;
  auto source = MakeMqttSource(Config(), sink);
  ASSERT_TRUE(source->Start().ok());
  ASSERT_TRUE(Connected(*source));
  Device device(DeviceOptions());
  broker_->Kill();
  ASSERT_TRUE(broker_->Start().ok());
  ASSERT_TRUE(Eventually([&] { return source->Status().state != "connected"; }) || Connected(*source));
  ASSERT_TRUE(Eventually([&] {
    return source->Status().state == "connected" && source->Status().detail.find("new session") != std::string::npos;
  }));
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", Refill(1)));
  EXPECT_TRUE(sink.WaitForEvents(1));
  source->Stop();
}

TEST_P(MqttSourceTest, RetainedMessagesAreCountedAndNotTaken) {
  MakeBroker();
  Device device(DeviceOptions());
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/status", R"({"state":"online"})", true));
  FakeEventSink sink;
  auto source = MakeMqttSource(Config(), sink);
  ASSERT_TRUE(source->Start().ok());
  ASSERT_TRUE(sink.WaitForRetained(1));
  // The same message, published while we listen, is an event: only what the broker remembers has retain set.
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/status", R"({"state":"degraded"})", true));
  ASSERT_TRUE(sink.WaitForEvents(1));
  EXPECT_EQ(sink.events()[0].status().state(), event::v1::Status::STATE_DEGRADED);
  EXPECT_EQ(sink.retained(), 1);
  source->Stop();
}

TEST_P(MqttSourceTest, RefusedMessagesAreToldAndHoldNothingUp) {
  MakeBroker();
  FakeEventSink sink;
  sink.AnswerWith([](const event::v1::DeviceEvent& event) {
    return event.shop_id().empty() ? absl::OkStatus() : absl::PermissionDeniedError("another shop");
  });
  auto source = MakeMqttSource(Config(), sink);
  ASSERT_TRUE(source->Start().ok());
  ASSERT_TRUE(Connected(*source));
  Device device(DeviceOptions());
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", "no JSON"));
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", R"({"boot":1,"seq":2,"product":"p","quantity":"x"})"));
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/dance", R"({"id":"m-3"})"));
  ASSERT_TRUE(device.Send("sluice/v1/.vend/refill", Refill(4)));
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", std::string(1 << 20, 'x')));
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", R"({"shop":"other","product":"p","quantity":1})"));
  ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", Refill(7)));
  ASSERT_TRUE(sink.WaitForEvents(1));
  ASSERT_TRUE(sink.WaitForRejections(5));
  const auto rejections = sink.rejections();
  EXPECT_THAT(rejections[0].reason, HasSubstr("not valid JSON"));
  EXPECT_EQ(rejections[0].device_id, "vend-1");
  EXPECT_EQ(rejections[0].head, "no JSON");
  EXPECT_TRUE(rejections[1].has_sequence);
  EXPECT_EQ(rejections[1].seq, 2U);
  EXPECT_THAT(rejections[2].reason, HasSubstr("kind: 'dance' is unknown"));
  EXPECT_EQ(rejections[2].message_id, "m-3");
  EXPECT_EQ(rejections[3].device_id, "");
  EXPECT_EQ(rejections[4].size, 1U << 20);
  EXPECT_EQ(rejections[4].head.size(), 1024U);
  EXPECT_TRUE(Eventually([&] { return source->Status().rejected == 6 && source->Status().events == 1; }));
  source->Stop();
}

TEST_P(MqttSourceTest, WhatTheGatewayDidNotTakeIsNeverAcknowledged) {
  MakeBroker();
  {
    FakeEventSink sink;
    auto source = MakeMqttSource(Config(), sink);
    ASSERT_TRUE(source->Start().ok());
    ASSERT_TRUE(Connected(*source));
    source->Stop();
  }
  {
    Device device(DeviceOptions());
    for (int seq = 1; seq <= 6; ++seq) ASSERT_TRUE(device.Send("sluice/v1/vend-1/refill", Refill(seq)));
  }
  {
    FakeEventSink sink;
    sink.AnswerWith([](const event::v1::DeviceEvent& event) {
      return event.sequence().seq() < 3 ? absl::OkStatus() : absl::UnavailableError("stopping");
    });
    auto source = MakeMqttSource(Config(), sink);
    ASSERT_TRUE(source->Start().ok());
    ASSERT_TRUE(Eventually([&] { return sink.accepts() >= 3; }));
    source->Stop();
    EXPECT_EQ(sink.accepts(), 3U);
  }
  FakeEventSink sink;
  auto source = MakeMqttSource(Config(), sink);
  ASSERT_TRUE(source->Start().ok());
  ASSERT_TRUE(sink.WaitForEvents(4));
  EXPECT_EQ(SeqsOf(sink), (std::vector<int>{3, 4, 5, 6}));
  source->Stop();
}

TEST_P(MqttSourceTest, ASinkThatBlocksHoldsBackTheAnswerNotTheReceipts) {
  MakeBroker();
  FakeEventSink sink;
  std::mutex mu;
  std::condition_variable changed;
  bool room = false;
  bool blocked = false;
  sink.AnswerWith([&](const event::v1::DeviceEvent&) {
    std::unique_lock lock(mu);
    blocked = true;
    changed.wait(lock, [&] { return room; });
    return absl::OkStatus();
  });
  auto source = MakeMqttSource(Config(), sink);
  ASSERT_TRUE(source->Start().ok());
  ASSERT_TRUE(Connected(*source));
  // A device in another process would be free; here it shares Paho's receive thread, so it only publishes.
  Device device(DeviceOptions());
  devices::Receipt first;
  first.device_id = "vend-1";
  first.boot = 1;
  source->receipts()->SendReceipt(first);
  ASSERT_TRUE(device.WaitForReceipts(1));
  std::thread sender([&] { device.Send("sluice/v1/vend-1/refill", Refill(1)); });
  ASSERT_TRUE(Eventually([&] {
    std::lock_guard lock(mu);
    return blocked;
  }));
  devices::Receipt receipt;
  receipt.device_id = "vend-2";
  receipt.boot = 1;
  source->receipts()->SendReceipt(receipt);   // returns although the callback is held
  {
    std::lock_guard lock(mu);
    room = true;
  }
  changed.notify_all();
  sender.join();
  ASSERT_TRUE(sink.WaitForEvents(1));
  ASSERT_TRUE(device.WaitForReceipts(2));
  source->Stop();
}

TEST_P(MqttSourceTest, ConnectsThroughTlsWithPasswordAndClientCertificate) {
  MakeBroker({.tls = true, .require_certificate = true, .user = "gateway", .password = "s3cret"});
  MqttSourceConfig config = Config();
  config.username = "gateway";
  config.password_file = broker_->Path("password.txt");
  config.ca_file = broker_->Path("ca.crt");
  config.certificate_file = broker_->Path("client.crt");
  config.key_file = broker_->Path("client.key");
  FakeEventSink sink;
  auto source = MakeMqttSource(config, sink);
  ASSERT_TRUE(source->Start().ok());
  ASSERT_TRUE(Connected(*source)) << source->Status().detail << broker_->Log();
  EXPECT_THAT(source->Status().detail, HasSubstr("over TLS"));
  source->Stop();

  // Each of the three is needed, and the reason is told.
  MqttSourceConfig wrong_password = config;
  wrong_password.password_file = broker_->Path("mosquitto.conf");
  MqttSourceConfig foreign_ca = config;
  foreign_ca.ca_file = broker_->Path("client.crt");
  MqttSourceConfig no_certificate = config;
  no_certificate.certificate_file = no_certificate.key_file = "";
  MqttSourceConfig no_password_file = config;
  no_password_file.password_file = broker_->Path("absent");
  for (const auto& [bad, reason] : {std::pair{wrong_password, "the broker refused"}, {foreign_ca, "certificates do not fit"},
                                    {no_certificate, ""}, {no_password_file, "password_file"}}) {
    auto refused = MakeMqttSource(bad, sink);
    ASSERT_TRUE(refused->Start().ok());
    EXPECT_TRUE(Eventually([&] { return refused->Status().state == "waiting"; })) << reason;
    std::string detail;
    EXPECT_TRUE(Eventually([&, reason = reason] {
      detail = refused->Status().detail;
      return detail.find(reason) != std::string::npos;
    })) << reason << ": " << detail;
    std::cout << detail << "\n";
    EXPECT_NE(refused->Status().state, "connected");
    refused->Stop();
  }
}

}  // namespace
}  // namespace sluice::native
