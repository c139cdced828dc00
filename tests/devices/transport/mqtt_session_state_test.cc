// Sessions: what stays of a connection, for how long, and who takes it over.
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

class MqttStateTest : public MqttSessionFixture {
 public:
  TestMqttClient v5{*this, MqttLevel::k5}, v311{*this, MqttLevel::k311};
  // A persistent 5.0 client.
  void Persist(TestMqttClient& client, uint32_t expiry_s = 3600) {
    client.connect.clean = false;
    client.connect.properties.SetNumber(MqttProperty::kSessionExpiryInterval, expiry_s);
  }
};

TEST_F(MqttStateTest, ResumesASession) {
  Persist(v5);
  EXPECT_THAT(v5.Connect(), StartsWith("CONNACK success {"));
  v5.Subscribe(1, {{"sluice/v1/d1/ack", 1}});
  v5.Lose();
  EXPECT_THAT(v5.Connect(), StartsWith("CONNACK success present"));
  server().Deliver("d1", {.topic = "sluice/v1/d1/ack", .payload = "x"}, now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/ack = x"));
  EXPECT_EQ(server().figures().resumed, 1u);
}

TEST_F(MqttStateTest, ResumesASessionAt311) {
  v311.connect.clean = false;
  EXPECT_EQ(v311.Connect(), "CONNACK success");
  v311.Subscribe(1, {{"sluice/v1/d1/ack", 1}});
  v311.Lose();
  EXPECT_EQ(v311.Connect(), "CONNACK success present");
  EXPECT_EQ(v311.link->status().subscriptions, 1u);
}

TEST_F(MqttStateTest, ResumesASessionInTheOtherVersion) {
  v311.connect.clean = false;
  v311.Connect();
  v311.Lose();
  Persist(v5);
  EXPECT_THAT(v5.Connect(), StartsWith("CONNACK success present"));
}

TEST_F(MqttStateTest, CleanDiscardsASession) {
  Persist(v5);
  v5.Connect();
  v5.Subscribe(1, {{"sluice/v1/d1/ack", 1}});
  v5.Lose();
  v5.connect.clean = true;
  EXPECT_THAT(v5.Connect(), StartsWith("CONNACK success {"));
  EXPECT_EQ(v5.link->status().subscriptions, 0u);
  v311.connect.clean = false;
  v311.connect.client_id = "old";
  v311.Connect();
  v311.Lose();
  v311.connect.clean = true;
  EXPECT_EQ(v311.Connect(), "CONNACK success");
  v311.Lose();
  v311.connect.clean = false;
  EXPECT_EQ(v311.Connect(), "CONNACK success");   // a clean one leaves nothing
}

TEST_F(MqttStateTest, ASessionEndsWithItsConnectionUnlessItIsAskedToStay) {
  v5.connect.clean = false;   // no session expiry interval: 0
  v5.Connect();
  EXPECT_EQ(server().figures().sessions, 1u);
  v5.Lose();
  EXPECT_EQ(server().figures().sessions, 0u);
  EXPECT_THAT(v5.Connect(), StartsWith("CONNACK success {"));
}

TEST_F(MqttStateTest, ASessionExpires) {
  options.v311_session_expiry_s = 60;
  Persist(v5, 60);
  v311.connect.clean = false;
  uint64_t expired = 0;
  for (TestMqttClient* client : {&v5, &v311}) {
    client->Connect();
    Pass(600'000);   // not while it is connected
    EXPECT_EQ(server().figures().sessions, 1u);
    client->Lose();
    Pass(59'999);
    EXPECT_EQ(server().figures().sessions, 1u);
    EXPECT_EQ(server().next_tick_ms(), now_ms + 1);
    Pass(1);
    EXPECT_EQ(server().figures().sessions, 0u);
    EXPECT_EQ(server().figures().sessions_expired, ++expired);
    EXPECT_THAT(client->Connect(), testing::Not(HasSubstr("present")));
    client->Lose();
    Pass(60'000);
    ++expired;
  }
}

TEST_F(MqttStateTest, NoTimerOutlivesItsSession) {
  Persist(v5);
  for (int i = 0; i < 3; ++i) {
    v5.connect.keep_alive_s = static_cast<uint16_t>(30 - i);
    v5.Connect();
    v5.Lose();
    EXPECT_EQ(server().next_tick_ms(), now_ms + 3'600'000);
  }
  v5.connect.clean = true;
  v5.connect.properties.clear();
  v5.Connect();
  v5.Lose();
  EXPECT_EQ(server().next_tick_ms(), INT64_MAX);
}

TEST_F(MqttStateTest, ASession311ExpiresToo) {
  options.v311_session_expiry_s = 100;
  v311.connect.clean = false;
  v311.Connect();
  v311.Lose();
  Pass(99'000);
  EXPECT_EQ(v311.Connect(), "CONNACK success present");   // begins anew
  v311.Lose();
  Pass(100'000);
  EXPECT_EQ(v311.Connect(), "CONNACK success");
}

TEST_F(MqttStateTest, TellsWhenASessionExpiresEarlierThanAsked) {
  options.max_session_expiry_s = 1000;
  Persist(v5, 0xFFFFFFFF);
  EXPECT_THAT(v5.Connect(), HasSubstr("{session expiry interval 1000, "));
  v5.Lose();
  Pass(1'000'000);
  EXPECT_EQ(server().figures().sessions, 0u);
}

TEST_F(MqttStateTest, ASessionMayStayForEver) {
  options.max_session_expiry_s = 0xFFFFFFFF;
  Persist(v5, 0xFFFFFFFF);
  v5.Connect();
  v5.Lose();
  Pass(int64_t{1000} * 0xFFFFFFFF + 1);
  EXPECT_EQ(server().figures().sessions, 1u);
}

TEST_F(MqttStateTest, DisconnectChangesTheExpiry) {
  Persist(v5, 60);
  v5.Connect();
  MqttDisconnect disconnect;
  disconnect.properties.SetNumber(MqttProperty::kSessionExpiryInterval, 600);
  v5.Send(disconnect);
  EXPECT_TRUE(v5.closing());
  EXPECT_THAT(v5.Take(), IsEmpty());
  Pass(599'000);
  EXPECT_EQ(server().figures().sessions, 1u);
  v5.Connect();
  disconnect.properties.SetNumber(MqttProperty::kSessionExpiryInterval, 0);
  v5.Send(disconnect);
  EXPECT_EQ(server().figures().sessions, 0u);
}

TEST_F(MqttStateTest, DisconnectDoesNotProlongWhatEnds) {
  v5.Connect();
  MqttDisconnect disconnect;
  disconnect.properties.SetNumber(MqttProperty::kSessionExpiryInterval, 60);
  v5.Send(disconnect);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT protocol error")));
  EXPECT_TRUE(v5.closing());
}

TEST_F(MqttStateTest, NothingIsWorkedOnAfterDisconnect) {
  for (TestMqttClient* client : {&v5, &v311}) {
    client->Connect();
    client->SendHex("e000 c000");
    EXPECT_TRUE(client->closing());
    EXPECT_THAT(client->Take(), IsEmpty());
    client->PublishSale("1", 1);
    EXPECT_THAT(host.publications, IsEmpty());
  }
}

TEST_F(MqttStateTest, ANewConnectionTakesTheSessionOver) {
  Persist(v5);
  v5.Connect();
  TestMqttClient second(*this, MqttLevel::k5);
  Persist(second);
  EXPECT_THAT(second.Connect(), StartsWith("CONNACK success present"));
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT session taken over")));
  EXPECT_TRUE(v5.closing());
  EXPECT_FALSE(second.closing());
  EXPECT_EQ(server().figures().taken_over, 1u);
  EXPECT_EQ(server().figures().sessions, 1u);
  v5.link.reset();   // what is taken over leaves the session alone
  second.Send(MqttPing{});
  EXPECT_THAT(second.Take(), ElementsAre("PINGRESP"));
}

TEST_F(MqttStateTest, ANewConnectionTakesOverAt311) {
  v311.Connect();
  TestMqttClient second(*this, MqttLevel::k311);
  EXPECT_EQ(second.Connect(), "CONNACK success");
  EXPECT_THAT(v311.Take(), IsEmpty());
  EXPECT_TRUE(v311.closing());
}

TEST_F(MqttStateTest, DevicesDoNotTakeEachOthersSessions) {
  TestMqttClient other(*this, MqttLevel::k5, "c", "d2");
  Persist(v5);
  Persist(other);
  v5.Connect();
  EXPECT_THAT(other.Connect(), StartsWith("CONNACK success {"));
  EXPECT_FALSE(v5.closing());
  EXPECT_EQ(server().figures().sessions, 2u);
}

TEST_F(MqttStateTest, SubscriptionsThatAreNotAllowedAnyMoreEnd) {
  Persist(v5);
  v5.Connect();
  v5.Subscribe(1, {{"homeassistant/status", 1}, {"sluice/v1/d1/ack", 1}});
  v5.Lose();
  auto narrower = std::make_shared<MqttIdentity>(*IdentityOf("d1"));
  narrower->subscribe = {"sluice/v1/d1/#"};
  v5.SendConnect();
  v5.link->Authenticated(narrower, now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK success present")));
  EXPECT_EQ(v5.link->status().subscriptions, 1u);
  server().Deliver("d1", {.topic = "homeassistant/status", .payload = "x"}, now_ms);
  EXPECT_THAT(v5.Take(), IsEmpty());
}

TEST_F(MqttStateTest, AfterARestartNoSessionIsPresent) {
  Persist(v5);
  v5.Connect();
  v5.link.reset();
  Start();
  EXPECT_THAT(v5.Connect(), StartsWith("CONNACK success {"));
}

TEST_F(MqttStateTest, TheHostMayEndAConnection) {
  Persist(v5);
  v5.Connect();
  v5.link->Disconnect(MqttReason::kAdministrativeAction, "the certificate was revoked", now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre("DISCONNECT administrative action {reason string \"the certificate was revoked\"}"));
  EXPECT_TRUE(v5.closing());
  EXPECT_EQ(server().figures().sessions, 1u);
}

TEST_F(MqttStateTest, ForgetEndsEverythingOfADevice) {
  Persist(v5);
  v5.Connect();
  v5.Publish("sluice/v1/d1/status", "on", 0, 0, false, true);
  TestMqttClient away(*this, MqttLevel::k5, "away"), other(*this, MqttLevel::k5, "c", "d2");
  Persist(away);
  away.Connect();
  away.Lose();
  other.Connect();
  Forget("d1", "not configured any more");
  EXPECT_THAT(v5.Take(), ElementsAre("DISCONNECT not authorized {reason string \"not configured any more\"}"));
  EXPECT_FALSE(other.closing());
  EXPECT_EQ(server().figures().sessions, 1u);
  EXPECT_EQ(server().figures().retained, 0u);
  EXPECT_EQ(server().figures().retained_bytes, 0u);
}

TEST_F(MqttStateTest, ForgetEndsWhatOneCredentialLeft) {
  TestMqttClient old(*this, MqttLevel::k5, "old"), stays(*this, MqttLevel::k5, "stays");
  Persist(old);
  Persist(stays);
  const auto forget = [&](uint64_t which) {
    server().Forget([&](const MqttIdentity& it) { return it.credential == which; }, MqttReason::kNotAuthorized, "", now_ms);
  };
  credential = 1;
  old.Connect();
  old.Publish("sluice/v1/d1/status", "on", 0, 0, false, true);
  old.Lose();
  credential = 2;
  stays.Connect();
  forget(1);
  EXPECT_FALSE(stays.closing());
  EXPECT_EQ(server().figures().sessions, 1u);
  EXPECT_EQ(server().figures().retained, 1u);   // the newest came in by another
  stays.Send(MqttDisconnect{});
  forget(2);
  EXPECT_EQ(server().figures().sessions, 0u);
  EXPECT_EQ(server().figures().retained, 0u);
  EXPECT_THAT(old.Connect(), StartsWith("CONNACK success {"));
}

// Retained messages stay when the last session is gone, and are its credential's all the same.
TEST_F(MqttStateTest, ForgetEndsWhatIsRetainedWithoutASession) {
  credential = 1;
  v5.Connect();
  v5.Publish("sluice/v1/d1/status", "on", 0, 0, false, true);
  v5.Lose();
  EXPECT_EQ(server().figures().sessions, 0u);
  EXPECT_EQ(server().figures().retained, 1u);
  Forget("d1", "");
  EXPECT_EQ(server().figures().retained, 0u);
}

}  // namespace
}  // namespace sluice::transport
