// A full store: what waits for room, in which order, how much of it, and who is told.
#include "base/strings.h"
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

// The host takes one publish a turn.
TEST_F(MqttRoomTest, TurnsAreGivenInTurnAndOnlyPublishesWaitForThem) {
  Connect();
  host.decide = [&](const MqttPublication&) {
    EXPECT_FALSE(host.turn_over);
    host.turn_over = true;
    return MqttVerdict{};
  };
  for (uint16_t id = 1; id <= 3; ++id) {
    v5.PublishSale(StrCat("five-", id), id);
    v311.PublishSale(StrCat("three-", id), id);
  }
  EXPECT_FALSE(v5.link->reading());
  EXPECT_THAT(host.TakeTopics(), ElementsAre("sluice/v1/d1/sale=five-1"));
  TestMqttClient other{*this, MqttLevel::k5, "other"};
  EXPECT_THAT(other.Connect(), StartsWith("CONNACK success"));
  other.Send(MqttPing{});
  EXPECT_THAT(other.Take(), ElementsAre("PINGRESP"));
  server().Resume(now_ms);
  EXPECT_THAT(host.TakeTopics(), IsEmpty()) << "it is not over yet";
  std::vector<std::string> topics;
  for (int turn = 0; turn < 6; ++turn) {
    host.turn_over = false;
    server().Resume(now_ms);
    for (std::string& topic : host.TakeTopics()) topics.push_back(topic.substr(topic.find('=') + 1));
  }
  EXPECT_THAT(topics, testing::UnorderedElementsAre("five-2", "five-3", "three-1", "three-2", "three-3"));
  EXPECT_NE(topics[0].substr(0, 4), topics[1].substr(0, 4)) << topics[0];
  EXPECT_NE(topics[1].substr(0, 4), topics[2].substr(0, 4)) << topics[1];
  EXPECT_TRUE(v5.link->reading());
  EXPECT_TRUE(v311.link->reading());
  EXPECT_EQ(server().figures().waiting, 0u);
  EXPECT_EQ(server().figures().no_room, 0u);
}

// What waits for room and what waits in the input alike.
TEST_F(MqttRoomTest, WhatWaitsForRoomTakesNotAllTurns) {
  Connect();
  Full(true);
  for (uint16_t id = 1; id <= 4; ++id) v5.PublishSale(StrCat("five-", id), id);
  Full(false);
  host.turn_over = true;
  for (uint16_t id = 1; id <= 2; ++id) v311.PublishSale(StrCat("three-", id), id);
  host.decide = [&](const MqttPublication&) {
    EXPECT_FALSE(host.turn_over);
    host.turn_over = true;
    return MqttVerdict{};
  };
  std::vector<std::string> topics;
  for (int turn = 0; turn < 4; ++turn) {
    host.turn_over = false;
    server().Resume(now_ms);
    for (std::string& topic : host.TakeTopics()) topics.push_back(topic.substr(topic.find('=') + 1));
  }
  EXPECT_THAT(topics, testing::UnorderedElementsAre("five-1", "five-2", "three-1", "three-2"));
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

}  // namespace
}  // namespace sluice::transport
