// A full store, and the limits of a connection and of all together.
#include "tests/devices/transport/mqtt_describe.h"
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

using Kind = MqttVerdict::Kind;

class MqttRoomTest : public MqttSessionFixture {
 public:
  TestMqttClient v5{*this, MqttLevel::k5, "c5"}, v311{*this, MqttLevel::k311, "c311"};
  void SetUp() override {
    v5.connect.clean = v311.connect.clean = false;
    v5.connect.properties.SetNumber(MqttProperty::kSessionExpiryInterval, 3600);
  }
  void Connect() {
    ASSERT_THAT(v5.Connect(), StartsWith("CONNACK success"));
    ASSERT_THAT(v311.Connect(), StartsWith("CONNACK success"));
  }
  void Full(bool full) {
    host.verdict.kind = full ? Kind::kNoRoom : Kind::kTaken;
    host.store_full = full;
  }
};

TEST_F(MqttRoomTest, WhatHasNoRoomWaitsInOrderAndPingsAreAnswered) {
  Connect();
  Full(true);
  for (uint16_t id = 1; id <= 3; ++id) v5.PublishSale(std::to_string(id), id);
  v5.Send(MqttPing{});
  EXPECT_THAT(v5.Take(), ElementsAre("PINGRESP"));
  EXPECT_TRUE(v5.link->reading());
  EXPECT_EQ(server().figures().waiting, 3u);
  EXPECT_GT(server().figures().waiting_bytes, 0u);
  server().Resume(now_ms);   // still none
  EXPECT_THAT(host.TakeTopics(), IsEmpty());
  Full(false);
  v5.PublishSale("4", 4);    // behind those that wait
  EXPECT_THAT(host.TakeTopics(), IsEmpty());
  server().Resume(now_ms);
  EXPECT_THAT(host.TakeTopics(),
              ElementsAre("sluice/v1/d1/sale=1", "sluice/v1/d1/sale=2", "sluice/v1/d1/sale=3", "sluice/v1/d1/sale=4"));
  EXPECT_THAT(v5.Take(), IsEmpty());
  AllSafe();
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1", "PUBACK #2", "PUBACK #3", "PUBACK #4"));
  EXPECT_EQ(server().figures().waiting, 0u);
  EXPECT_EQ(server().figures().waiting_bytes, 0u);
  EXPECT_EQ(server().figures().no_room, 1u);
}

TEST_F(MqttRoomTest, RoomIsGivenInTurn) {
  Connect();
  Full(true);
  for (uint16_t id = 1; id <= 3; ++id) {
    v5.PublishSale("five", id);
    v311.PublishSale("three", id);
  }
  int room = 4;
  host.decide = [&](const MqttPublication&) { return MqttVerdict{room-- > 0 ? Kind::kTaken : Kind::kNoRoom}; };
  server().Resume(now_ms);
  int five = 0;
  for (const std::string& topic : host.TakeTopics()) five += topic == "sluice/v1/d1/sale=five" ? 1 : 0;
  EXPECT_EQ(five, 2);
  EXPECT_EQ(server().figures().waiting, 2u);
}

TEST_F(MqttRoomTest, OneQueueFullDoesNotStopAnother) {
  Connect();
  host.decide = [](const MqttPublication& it) {
    return MqttVerdict{it.topic == "sluice/v1/d1/sale" ? Kind::kNoRoom : Kind::kTaken};
  };
  v5.PublishSale("1", 1);
  v311.Publish("sluice/v1/d1/alarm", "1", 1, 1);   // another connection
  v5.Publish("sluice/v1/d1/status", "1", 0, 0);    // QoS 0 waits for nobody
  EXPECT_THAT(host.TakeTopics(), ElementsAre("sluice/v1/d1/alarm=1", "sluice/v1/d1/status=1"));
}

TEST_F(MqttRoomTest, Qos0WithoutRoomIsDroppedAndCounted) {
  Connect();
  Full(true);
  v5.Publish("sluice/v1/d1/telemetry", "1", 0, 0);
  EXPECT_EQ(server().figures().qos0_dropped, 1u);
  EXPECT_EQ(server().figures().waiting, 0u);
}

TEST_F(MqttRoomTest, WhatWaitsIsForgottenWithTheConnectionAndSentAgain) {
  Connect();
  Full(true);
  v5.PublishSale("1", 1);
  v5.Lose();
  EXPECT_EQ(server().figures().waiting, 0u);
  EXPECT_EQ(server().figures().waiting_bytes, 0u);
  Full(false);
  server().Resume(now_ms);
  EXPECT_THAT(host.TakeTopics(), IsEmpty());
  v5.Connect();
  v5.PublishSale("1", 1, true);
  EXPECT_EQ(host.TakeTopics().size(), 1u);
  AllSafe();
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1"));
}

TEST_F(MqttRoomTest, SentAgainWhileItWaitsItWaitsOnce) {
  Connect();
  Full(true);
  v311.PublishSale("1", 1);
  v311.PublishSale("1", 1, true);
  v311.Publish("sluice/v1/d1/sale", "2", 2, 2);
  v311.Publish("sluice/v1/d1/sale", "2", 2, 2, true);
  Full(false);
  server().Resume(now_ms);
  EXPECT_EQ(host.TakeTopics().size(), 2u);
  AllSafe();
  EXPECT_THAT(v311.Take(), ElementsAre("PUBACK #1", "PUBREC #2"));
}

TEST_F(MqttRoomTest, WhatWaitsKeepsWhatItSaid) {
  Connect();
  Full(true);
  MqttPublish publish;
  publish.topic = "sluice/v1/d1/sale";
  publish.qos = 1;
  publish.packet_id = 1;
  publish.dup = true;
  publish.payload = "x";
  publish.properties.SetNumber(MqttProperty::kMessageExpiryInterval, 60);
  publish.properties.SetNumber(MqttProperty::kTopicAlias, 1);
  publish.properties.AddUser("a", "b");
  v5.Send(publish);
  publish.topic = "";
  publish.packet_id = 2;
  v5.Send(publish);
  Full(false);
  Pass(19'500);
  server().Resume(now_ms);
  ASSERT_EQ(host.publications.size(), 2u);
  for (const auto& it : host.publications) {
    EXPECT_EQ(it.topic, "sluice/v1/d1/sale");
    EXPECT_EQ(it.properties, "{message expiry interval 41, user a=b}");
    EXPECT_TRUE(it.dup);
  }
}

TEST_F(MqttRoomTest, WhatExpiresWhileItWaitsIsStillAcknowledged) {
  Connect();
  Full(true);
  MqttPublish publish;
  publish.topic = "sluice/v1/d1/sale";
  publish.qos = 2;
  publish.packet_id = 1;
  publish.properties.SetNumber(MqttProperty::kMessageExpiryInterval, 5);
  v5.Send(publish);
  Pass(10'000);
  Full(false);
  server().Resume(now_ms);
  ASSERT_EQ(host.publications.size(), 1u);   // whether it still counts is the host's to say
  EXPECT_EQ(host.publications[0].properties, "{message expiry interval 0}");
  AllSafe();
  v5.Ack(MqttType::kPubrel, 1);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBREC #1", "PUBCOMP #1"));
}

TEST_F(MqttRoomTest, PatienceEndsOnceAndInV5Only) {
  options.patience_ms = 5000;
  Connect();
  Full(true);
  v5.PublishSale("1", 1);
  v311.PublishSale("1", 1);
  Pass(4999);
  EXPECT_FALSE(v5.closing());
  EXPECT_EQ(server().next_tick_ms(), now_ms + 1);
  Pass(1);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT quota exceeded {reason string \"store full")));
  EXPECT_TRUE(v5.closing());
  EXPECT_EQ(server().figures().impatient, 1u);
  EXPECT_THAT(v5.Connect(), HasSubstr("user sluice-store=store full"));
  v5.PublishSale("1", 1, true);
  Pass(500'000);   // it knows
  EXPECT_FALSE(v5.closing());
  EXPECT_FALSE(v311.closing());
  Full(false);
  server().Resume(now_ms);
  AllSafe();
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1"));
  EXPECT_THAT(v311.Take(), ElementsAre("PUBACK #1"));
}

TEST_F(MqttRoomTest, PatienceIsNotTriedByWhatMovesOn) {
  options.patience_ms = 5000;
  Connect();
  Full(true);
  v5.PublishSale("1", 1);
  Pass(3000);
  v5.PublishSale("2", 2);
  int room = 1;
  host.decide = [&](const MqttPublication&) { return MqttVerdict{room-- > 0 ? Kind::kTaken : Kind::kNoRoom}; };
  server().Resume(now_ms);
  Pass(4000);   // the second waits for four seconds
  EXPECT_FALSE(v5.closing());
  Pass(1000);
  EXPECT_TRUE(v5.closing());
}

TEST_F(MqttRoomTest, PatienceMayBeEndless) {
  options.patience_ms = 0;
  Connect();
  Full(true);
  v5.PublishSale("1", 1);
  for (int i = 0; i < 100; ++i) {
    v5.Send(MqttPing{});
    Pass(500'000);
  }
  EXPECT_FALSE(v5.closing());
}

TEST_F(MqttRoomTest, TooMuchThatWaitsStopsTheReading) {
  options.max_waiting_bytes = 4000;
  Connect();
  Full(true);
  uint16_t id = 0;
  while (v5.link->reading() && id < 100) v5.PublishSale(std::string(500, 'x'), ++id);
  EXPECT_GT(id, 2u);
  EXPECT_LT(id, 10u);
  v5.PublishSale("y", ++id);
  v5.Send(MqttPing{});
  EXPECT_THAT(v5.Take(), IsEmpty());   // behind what is not read
  EXPECT_EQ(server().figures().waiting_pauses, 1u);
  EXPECT_LE(server().figures().waiting_bytes, 4000u);
  Full(false);
  server().Resume(now_ms);
  EXPECT_TRUE(v5.link->reading());
  EXPECT_EQ(host.publications.size(), id);
  AllSafe();
  EXPECT_EQ(v5.Take().size(), id + 1u);
}

TEST_F(MqttRoomTest, TooMuchThatWaitsOfAllStopsWhoSendsMore) {
  options.max_total_waiting_bytes = 2000;
  Connect();
  Full(true);
  v5.PublishSale(std::string(800, 'x'), 1);
  v311.PublishSale(std::string(800, 'x'), 1);   // would be too much: stays where it is
  EXPECT_FALSE(v311.link->reading());
  EXPECT_EQ(server().figures().waiting, 1u);
  host.decide = [](const MqttPublication& it) {
    return MqttVerdict{it.client_id == "c311" ? Kind::kTaken : Kind::kNoRoom};
  };
  server().Resume(now_ms);   // its own queue has room
  EXPECT_EQ(host.publications.size(), 1u);
  EXPECT_TRUE(v311.link->reading());
  AllSafe();
  EXPECT_THAT(v311.Take(), ElementsAre("PUBACK #1"));
}

TEST_F(MqttRoomTest, KeepAliveDoesNotRunWhileNothingIsRead) {
  options.receive_maximum = 1;
  v311.connect.keep_alive_s = 10;
  Connect();
  v311.PublishSale("1", 1);
  v311.PublishSale("2", 2);
  EXPECT_FALSE(v311.link->reading());
  Pass(100'000);
  EXPECT_FALSE(v311.closing());
  AllSafe();
  EXPECT_TRUE(v311.link->reading());
  Pass(14'999);   // from when it could be heard again
  EXPECT_FALSE(v311.closing());
  Pass(1);
  EXPECT_TRUE(v311.closing());
}

TEST_F(MqttRoomTest, APublishRateIsKeptByPausing) {
  options.publishes_per_second = 10;
  options.publish_burst = 5;
  Connect();
  for (uint16_t id = 1; id <= 8; ++id) v5.PublishSale(std::to_string(id), id);
  EXPECT_EQ(host.publications.size(), 5u);
  EXPECT_FALSE(v5.link->reading());
  for (int i = 0; i < 3; ++i) {
    const int64_t next_ms = server().next_tick_ms();
    EXPECT_LE(next_ms, now_ms + 102);
    Pass(next_ms - now_ms);
  }
  EXPECT_EQ(host.publications.size(), 8u);
  EXPECT_TRUE(v5.link->reading());
  EXPECT_EQ(server().figures().rate_pauses, 1u);
  EXPECT_FALSE(v5.closing());
  Pass(10'000);   // the bucket is full again, and no fuller than that
  for (uint16_t id = 11; id <= 20; ++id) v5.Publish("sluice/v1/d1/telemetry", "x", 0, id);
  EXPECT_EQ(host.publications.size(), 13u);
}

TEST_F(MqttRoomTest, APacketTooLargeIsRefusedBeforeItsBodyComes) {
  options.max_packet_bytes = 2048;
  Connect();
  v5.Publish("sluice/v1/d1/sale", std::string(2048 - 3 - 2 - 17 - 2 - 1, 'x'), 1, 1);
  EXPECT_EQ(host.publications.size(), 1u);
  EXPECT_FALSE(v5.closing());
  v5.SendHex("32 fe0f");   // 2,049 bytes to come
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT packet too large")));
  v311.SendHex("32 fe0f");
  EXPECT_TRUE(v311.closing());
  EXPECT_EQ(server().figures().packet_too_large, 2u);
}

TEST_F(MqttRoomTest, ConnectMustComeInTime) {
  options.connect_timeout_ms = 1000;
  auto link = server().Open(next_connection++, now_ms);
  link->Received(FromHex("100d00044d51"), now_ms);
  Pass(999);
  EXPECT_FALSE(link->closing());
  Pass(1);
  EXPECT_TRUE(link->closing());
  EXPECT_EQ(server().figures().connect_timeouts, 1u);
}

TEST_F(MqttRoomTest, AuthenticationMayNotTakeForEver) {
  options.authenticate_timeout_ms = 3000;
  v5.SendConnect();
  Pass(2999);
  EXPECT_FALSE(v5.closing());
  Pass(1);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK server unavailable")));
  EXPECT_EQ(server().figures().authentication_timeouts, 1u);
  v5.Authenticate();   // too late
  EXPECT_EQ(server().figures().sessions, 0u);
}

TEST_F(MqttRoomTest, ConnectionsHaveALimit) {
  options.max_connections = 2;
  Connect();
  TestMqttClient third(*this, MqttLevel::k5, "third"), old(*this, MqttLevel::k311, "old");
  third.SendConnect();
  EXPECT_THAT(third.Take(), ElementsAre("CONNACK quota exceeded {reason string \"too many connections\"}"));
  third.link.reset();
  old.SendConnect();
  EXPECT_THAT(old.Take(), ElementsAre("CONNACK server unavailable"));
  old.link.reset();
  v5.link.reset();
  EXPECT_THAT(third.Connect(), StartsWith("CONNACK success"));
}

TEST_F(MqttRoomTest, SessionsHaveALimit) {
  options.max_sessions = 2;
  Connect();
  TestMqttClient third(*this, MqttLevel::k5, "third");
  third.SendConnect();
  third.Authenticate();
  EXPECT_THAT(third.Take(), ElementsAre("CONNACK quota exceeded {reason string \"too many sessions\"}"));
  EXPECT_TRUE(third.closing());
  // A device makes room with what it does not use.
  v5.Lose();
  EXPECT_THAT(third.Connect(), StartsWith("CONNACK success"));
  EXPECT_EQ(server().figures().sessions_evicted, 1u);
  TestMqttClient other(*this, MqttLevel::k5, "c", "d2");
  v311.Lose();
  other.SendConnect();
  other.Authenticate();
  EXPECT_THAT(other.Take(), ElementsAre(StartsWith("CONNACK quota exceeded")));   // not with another device's
}

TEST_F(MqttRoomTest, ADevicesSessionsHaveALimit) {
  options.max_sessions_per_device = 2;
  Connect();
  v311.Lose();
  Pass(1000);
  v5.Lose();
  Pass(1000);
  TestMqttClient third(*this, MqttLevel::k5, "third");
  EXPECT_THAT(third.Connect(), StartsWith("CONNACK success"));
  EXPECT_THAT(v5.Connect(), StartsWith("CONNACK success present"));   // the older one is gone
  TestMqttClient fourth(*this, MqttLevel::k5, "fourth");
  fourth.SendConnect();
  fourth.Authenticate();
  EXPECT_THAT(fourth.Take(), ElementsAre(StartsWith("CONNACK quota exceeded")));
  TestMqttClient elsewhere(*this, MqttLevel::k5, "c", "d2");
  EXPECT_THAT(elsewhere.Connect(), StartsWith("CONNACK success"));
}

TEST_F(MqttRoomTest, AClientThatDoesNotReadIsNotAnswered) {
  options.max_output_bytes = 1024;
  Connect();
  for (int i = 0; i < 2000; ++i) v5.Send(MqttPing{});
  EXPECT_FALSE(v5.link->reading());
  EXPECT_EQ(server().figures().output_pauses, 1u);
  EXPECT_EQ(v5.Take().size(), 2000u);   // taken in several goes
  EXPECT_TRUE(v5.link->reading());
}

TEST_F(MqttRoomTest, MalformedPacketsEndTheConnection) {
  Connect();
  v5.SendHex("30 06 0004 612f2300 00");
  EXPECT_THAT(v5.Take(), ElementsAre(AllOf(StartsWith("DISCONNECT malformed packet"), HasSubstr("PUBLISH, byte 2, topic name"))));
  EXPECT_TRUE(v5.closing());
  v311.SendHex("30 05 0003 612f23");
  EXPECT_THAT(v311.Take(), IsEmpty());
  EXPECT_TRUE(v311.closing());
  EXPECT_THAT(v311.closed_why(), HasSubstr("MQTT-3.3.2-2"));
  EXPECT_EQ(server().figures().malformed, 2u);
  EXPECT_EQ(server().figures().sessions, 2u);   // they stay
}

TEST_F(MqttRoomTest, ADisconnectFitsTheClientsMaximumPacketSize) {
  v5.connect.properties.SetNumber(MqttProperty::kMaximumPacketSize, 30);
  Connect();
  v5.link->Disconnect(MqttReason::kAdministrativeAction, "a reason that takes more than thirty bytes", now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre("DISCONNECT administrative action"));
}

TEST_F(MqttRoomTest, NothingFollowsADisconnect) {
  Connect();
  v5.Subscribe(1, {{"sluice/v1/d1/ack", 1}});
  v5.PublishSale("1", 1);
  v5.Take();
  v5.link->Disconnect(MqttReason::kAdministrativeAction, "", now_ms);
  AllSafe();
  server().Deliver("d1", {.topic = "sluice/v1/d1/ack", .payload = "x"}, now_ms);
  v5.Send(MqttPing{});
  Pass(1'000'000);
  EXPECT_THAT(v5.Take(), ElementsAre("DISCONNECT administrative action"));
  EXPECT_FALSE(v5.link->reading());
}

TEST_F(MqttRoomTest, WakesOnlyWhereThereIsSomethingToSee) {
  Connect();
  const int before = host.wakes[v5.link->id()];
  v5.PublishSale("1", 1);
  EXPECT_EQ(host.wakes[v5.link->id()], before);
  Safe(Token());
  EXPECT_EQ(host.wakes[v5.link->id()], before + 1);
  v5.Send(MqttPing{});   // not taken yet: known
  EXPECT_EQ(host.wakes[v5.link->id()], before + 1);
  v5.Take();
  server().Deliver("d1", {.topic = "sluice/v1/d1/ack", .payload = "x"}, now_ms);   // not subscribed
  EXPECT_EQ(host.wakes[v5.link->id()], before + 1);
  v5.link->Disconnect(MqttReason::kServerBusy, "", now_ms);
  EXPECT_GT(host.wakes[v5.link->id()], before + 1);
}

}  // namespace
}  // namespace sluice::transport
