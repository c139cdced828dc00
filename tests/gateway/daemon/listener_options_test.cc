// The listener as a default configuration makes it.
#include <gmock/gmock.h>

#include "base/password_file.h"
#include "base/random.h"
#include "base/strings.h"
#include "devices/native/listener_driver.h"
#include "gateway/config/config.h"
#include "gateway/daemon/room_options.h"
#include "tests/fakes/fake_event_sink.h"
#include "tests/fakes/mosquitto_broker.h"
#include "tests/fakes/mqtt_peer.h"
#include "tests/fakes/temp_folder.h"

namespace sluice::daemon {
namespace {

using fakes::MqttPeer;

class ListenerOptionsTest : public testing::Test {
 protected:
  // [[listener]] with what it cannot do without, and vm-1 with a password.
  void Start() {
    const std::string file = folder_ / "listener.passwd";
    const PasswordHash hash = HashPassword("secret", {.log_n = 10, .r = 1, .p = 1}, random_).value();
    ASSERT_TRUE(EditPasswordFile(file, [&](const std::string& text) { return WithPassword(text, "vm-1", hash); }).ok());
    const auto config = config::ParseConfig(
        StrCat("[[listener]]\nname = \"main\"\nbind = \"127.0.0.1:", port_, "\"\npassword_file = \"", file, "\"\n"),
        "sluiced.toml");
    ASSERT_TRUE(config.ok()) << config.status();
    per_device_ = static_cast<size_t>(config->listener.at(0).max_connections_per_device);
    devices::DriversConfig drivers = DriverConfigs(*config, "gw-1", 0);
    source_ = native::MakeListenerSource(drivers.listener.at(0), sink_, clock_, random_);
    ASSERT_TRUE(source_->Start().ok());
  }
  MqttPeer Peer(const std::string& client_id) {
    MqttPeer peer;
    EXPECT_TRUE(peer.net.Connect(port_)) << peer.net.error();
    const auto connack = peer.Connect(
        {.client_id = client_id, .clean = false, .user_name = "vm-1", .password = "secret", .session_expiry_s = 3600});
    EXPECT_TRUE(connack && connack->reason == transport::MqttReason::kSuccess) << client_id;
    return peer;
  }

  fakes::TempFolder folder_;
  const uint16_t port_ = fakes::FreePort();
  SystemClock clock_;
  SystemRandom random_;
  fakes::FakeEventSink sink_;
  size_t per_device_ = 0;
  std::unique_ptr<devices::Driver> source_;
};

// As a device does whose connections died unheard and that takes another client id each time: it must not be locked
// out.
TEST_F(ListenerOptionsTest, ADeviceThatOpensMoreConnectionsLosesItsOldest) {
  Start();
  std::vector<MqttPeer> peers;
  for (size_t i = 0; i < per_device_; ++i) peers.push_back(Peer(StrCat("c", i)));
  for (MqttPeer& peer : peers) EXPECT_TRUE(peer.Ping());
  MqttPeer newest = Peer("another");
  const auto disconnect = peers[0].Expect<transport::MqttDisconnect>();
  ASSERT_TRUE(disconnect);
  EXPECT_EQ(disconnect->reason, transport::MqttReason::kQuotaExceeded);
  for (size_t i = 1; i < peers.size(); ++i) EXPECT_TRUE(peers[i].Ping()) << i;
  EXPECT_TRUE(newest.Ping());
}

}  // namespace
}  // namespace sluice::daemon
