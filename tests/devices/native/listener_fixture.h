// A listener source with two devices, and clients for them.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/password_file.h"
#include "base/random.h"
#include "base/strings.h"
#include "devices/native/listener_driver.h"
#include "tests/fakes/mosquitto_broker.h"
#include "tests/fakes/mqtt_peer.h"
#include "tests/fakes/temp_folder.h"

namespace sluice::native {

class ListenerSourceFixture : public testing::Test {
 protected:
  ListenerSourceFixture() {
    config.name = "shop";
    // A port that is free now: the driver does not tell which it took.
    config.options.bind = StrCat("127.0.0.1:", port);
    config.options.password_file = folder / "listener.passwd";
    config.options.topics = {"tele/{device}/#"};
    for (const char* device : {"vm-1", "vm-2"}) {
      const PasswordHash hash = HashPassword("secret", {.log_n = 10, .r = 1, .p = 1}, random).value();
      EXPECT_TRUE(EditPasswordFile(folder / "listener.passwd", [&](const std::string& text) {
                    return WithPassword(text, device, hash);
                  }).ok());
    }
  }

  void Start(devices::EventSink& sink) {
    source = MakeListenerSource(config, sink, clock, random);
    const absl::Status status = source->Start();
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(source->Status().state, "listening") << source->Status().detail;
  }
  fakes::MqttPeer Peer(const std::string& device, transport::MqttLevel level = transport::MqttLevel::k5,
                       const std::string& will = "") {
    fakes::MqttPeer peer;
    EXPECT_TRUE(peer.net.Connect(port)) << peer.net.error();
    fakes::PeerOptions who{.level = level, .client_id = StrCat(device, "-", static_cast<int>(level)), .user_name = device,
                           .password = "secret"};
    if (!will.empty()) {
      who.will_topic = StrCat("sluice/v1/", device, "/status");
      who.will_payload = will;
    }
    const auto connack = peer.Connect(who);
    EXPECT_TRUE(connack && connack->reason == transport::MqttReason::kSuccess) << peer.net.error();
    return peer;
  }
  static std::string Sale(int seq) { return StrCat("{\"boot\":1,\"seq\":", seq, ",\"product\":\"cola\"}"); }
  uint64_t Figure(std::string_view name) const {
    for (const auto& [key, value] : source->Status().figures) {
      if (key == name) return value;
    }
    ADD_FAILURE() << "no figure " << name;
    return 0;
  }
  bool Eventually(const std::function<bool()>& holds) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }

  fakes::TempFolder folder;
  const uint16_t port = fakes::FreePort();
  SystemClock clock;
  SystemRandom random;
  ListenerSourceConfig config;
  std::unique_ptr<devices::Driver> source;
};

}  // namespace sluice::native
