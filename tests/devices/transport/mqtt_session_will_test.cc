// Wills: when they are published, when not, and with what.
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

class MqttWillTest : public MqttSessionFixture {
 public:
  TestMqttClient v5{*this, MqttLevel::k5}, v311{*this, MqttLevel::k311, "c311"};
  void SetUp() override {
    for (TestMqttClient* client : {&v5, &v311}) {
      client->connect.has_will = true;
      client->connect.will.topic = "sluice/v1/d1/status";
      client->connect.will.payload = "offline";
      client->connect.will.qos = 1;
    }
  }
  void Stay(TestMqttClient& client, uint32_t expiry_s) {
    client.connect.clean = false;
    client.connect.properties.SetNumber(MqttProperty::kSessionExpiryInterval, expiry_s);
  }
  void Delay(uint32_t delay_s) { v5.connect.will.properties.SetNumber(MqttProperty::kWillDelayInterval, delay_s); }
  std::vector<std::string> Wills() {
    for (size_t i = host.taken_topics; i < host.publications.size(); ++i) EXPECT_TRUE(host.publications[i].will);
    return host.TakeTopics();
  }
  const std::vector<std::string> kOne = {"sluice/v1/d1/status=offline"};
};

TEST_F(MqttWillTest, IsPublishedWhenTheConnectionIsLost) {
  for (TestMqttClient* client : {&v5, &v311}) {
    client->Connect();
    EXPECT_THAT(Wills(), IsEmpty());
    client->Lose();
    EXPECT_EQ(Wills(), kOne);
    EXPECT_EQ(host.publications.back().qos, 1);
    EXPECT_FALSE(host.publications.back().retain);
    EXPECT_EQ(host.publications.back().client_id, client->client_id);
    EXPECT_EQ(host.publications.back().connection, 0u);
  }
  Pass(10'000'000);
  EXPECT_THAT(Wills(), IsEmpty());
  EXPECT_EQ(server().figures().wills, 2u);
}

TEST_F(MqttWillTest, IsDeletedByADisconnect) {
  Stay(v5, 3600);
  for (TestMqttClient* client : {&v5, &v311}) {
    client->Connect();
    client->Send(MqttDisconnect{});
    EXPECT_TRUE(client->closing());
    client->Lose();
  }
  Pass(10'000'000);
  EXPECT_THAT(Wills(), IsEmpty());
}

TEST_F(MqttWillTest, IsPublishedWhereTheDisconnectAsksForIt) {
  v5.Connect();
  v5.SendHex("e0 01 04");
  EXPECT_EQ(Wills(), kOne);
  v5.Connect();
  v5.SendHex("e0 01 80");   // any other than a normal one
  EXPECT_EQ(Wills(), kOne);
}

TEST_F(MqttWillTest, IsPublishedWhenWeEndTheConnection) {
  v5.connect.keep_alive_s = 10;
  v5.Connect();
  Pass(15'000);
  EXPECT_EQ(Wills(), kOne);
  v311.Connect();
  v311.SendHex("00");
  EXPECT_EQ(Wills(), kOne);
}

TEST_F(MqttWillTest, IsNotThereWithoutItsFlag) {
  v5.connect.has_will = false;
  v5.Connect();
  v5.Lose();
  EXPECT_THAT(Wills(), IsEmpty());
}

TEST_F(MqttWillTest, IsTheNewestConnections) {
  Stay(v5, 3600);
  v5.Connect();
  v5.Send(MqttDisconnect{});
  v5.connect.has_will = false;
  v5.Connect();
  v5.Lose();
  EXPECT_THAT(Wills(), IsEmpty());
}

TEST_F(MqttWillTest, OfEveryQosIsTaken) {
  for (uint8_t qos : {0, 1, 2}) {
    for (TestMqttClient* client : {&v5, &v311}) {
      client->connect.will.qos = qos;
      EXPECT_THAT(client->Connect(), StartsWith("CONNACK success"));
      client->Lose();
      EXPECT_EQ(host.publications.back().qos, qos);
    }
  }
  EXPECT_EQ(Wills().size(), 6u);
}

TEST_F(MqttWillTest, MayBeRetained) {
  for (TestMqttClient* client : {&v5, &v311}) {
    client->connect.will.retain = true;
    client->connect.will.payload = client->client_id;
    client->Connect();
    client->Lose();
    EXPECT_TRUE(host.publications.back().retain);
    EXPECT_EQ(server().figures().retained, 1u);
    TestMqttClient later(*this, MqttLevel::k311, "later");
    later.Connect();
    later.Subscribe(1, {{"sluice/v1/d1/status", 1}});
    EXPECT_THAT(later.Take(), ElementsAre("SUBACK #1 granted QoS 1",
                                          "PUBLISH q1 retain #1 sluice/v1/d1/status = " + client->client_id));
  }
}

TEST_F(MqttWillTest, ReachesTheDevicesOtherClients) {
  v311.Connect();
  v311.Subscribe(1, {{"sluice/v1/d1/status", 1}});
  v311.Take();
  v5.Connect();
  v5.Lose();
  EXPECT_THAT(v311.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/status = offline"));
}

TEST_F(MqttWillTest, IsKeptFromItsOwnClientWhereThatAskedForNoLocal) {
  Stay(v5, 3600);
  v311.Connect();
  v311.Subscribe(1, {{"sluice/v1/d1/status", 1}});
  v5.Connect();
  v5.Subscribe(1, {{.filter = "sluice/v1/d1/#", .qos = 1, .no_local = true}});
  v311.Take();
  v5.Lose();   // its session stays, and is subscribed
  EXPECT_EQ(Wills(), kOne);
  EXPECT_THAT(v311.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/status = offline"));
  v5.SendConnect();
  v5.Authenticate();
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK success present")));
}

TEST_F(MqttWillTest, CarriesItsProperties) {
  MqttProperties& properties = v5.connect.will.properties;
  properties.SetNumber(MqttProperty::kPayloadFormatIndicator, 1);
  properties.SetNumber(MqttProperty::kMessageExpiryInterval, 60);
  properties.SetText(MqttProperty::kContentType, "t");
  properties.AddUser("z", "1");
  properties.AddUser("a", "2");
  Delay(10);
  Stay(v5, 100);
  v5.Connect();
  v5.Lose();
  Pass(10'000);
  ASSERT_EQ(Wills(), kOne);
  // Its expiry begins when it is published.
  EXPECT_EQ(host.publications.back().properties,
            "{payload format indicator 1, message expiry interval 60, content type \"t\", user z=1, user a=2}");
}

TEST_F(MqttWillTest, WaitsForItsDelay) {
  Delay(30);
  Stay(v5, 3600);
  v5.Connect();
  v5.Lose();
  EXPECT_EQ(server().next_tick_ms(), now_ms + 30'000);
  Pass(29'999);
  EXPECT_THAT(Wills(), IsEmpty());
  Pass(1);
  EXPECT_EQ(Wills(), kOne);
  Pass(3'600'000);   // the session ends: not again
  EXPECT_THAT(Wills(), IsEmpty());
}

TEST_F(MqttWillTest, IsNotPublishedWhereTheClientComesBackInTime) {
  Delay(30);
  Stay(v5, 3600);
  v5.Connect();
  v5.Lose();
  Pass(29'999);
  EXPECT_THAT(v5.Connect(), StartsWith("CONNACK success present"));
  Pass(500'000);
  EXPECT_THAT(Wills(), IsEmpty());
}

TEST_F(MqttWillTest, IsPublishedWhereTheSessionEndsBeforeTheDelay) {
  Delay(300);
  Stay(v5, 10);
  v5.Connect();
  v5.Lose();
  Pass(10'000);
  EXPECT_EQ(Wills(), kOne);
  Stay(v5, 0);
  v5.Connect();
  v5.Lose();   // ends with the connection
  EXPECT_EQ(Wills(), kOne);
}

TEST_F(MqttWillTest, IsPublishedWhereACleanStartEndsTheSession) {
  Delay(300);
  Stay(v5, 3600);
  v5.Connect();
  v5.Lose();
  v5.connect.clean = true;
  v5.Connect();
  EXPECT_EQ(Wills(), kOne);
}

TEST_F(MqttWillTest, IsPublishedWhenTheSessionIsTakenOver) {
  Stay(v5, 3600);
  v5.Connect();
  TestMqttClient second(*this, MqttLevel::k5);
  Stay(second, 3600);
  second.Connect();
  EXPECT_EQ(Wills(), kOne);   // no delay
  Delay(30);
  v5.Connect();
  Stay(second, 3600);
  second.Connect();
  EXPECT_THAT(Wills(), IsEmpty());   // the session goes on
  v5.Connect();
  second.connect.clean = true;
  second.Connect();
  EXPECT_EQ(Wills(), kOne);   // and ends
}

TEST_F(MqttWillTest, ToAnothersTopicIsRefused) {
  v5.connect.will.topic = "sluice/v1/d2/status";
  v5.SendConnect();
  v5.Authenticate();
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK not authorized")));
  v311.connect.will.topic = "sluice/v1/d2/status";
  v311.SendConnect();
  v311.Authenticate();
  EXPECT_THAT(v311.Take(), ElementsAre("CONNACK not authorized"));
  EXPECT_TRUE(v311.closing());
  EXPECT_EQ(server().figures().sessions, 0u);
}

TEST_F(MqttWillTest, ThatIsNotTheTextItClaimsToBeIsRefused) {
  v5.connect.will.properties.SetNumber(MqttProperty::kPayloadFormatIndicator, 1);
  v5.connect.will.payload = "\xff";
  v5.SendConnect();
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK payload format invalid")));
}

TEST_F(MqttWillTest, ThatIsTooLongIsRefused) {
  options.max_topic_levels = 3;
  v5.SendConnect();
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK topic name invalid")));
}

TEST_F(MqttWillTest, WithoutRoomItWaits) {
  options.max_waiting_wills = 1;
  v5.Connect();
  v311.Connect();
  host.verdict.kind = MqttVerdict::Kind::kNoRoom;
  v5.Lose();
  v311.Lose();
  EXPECT_EQ(server().figures().wills_dropped, 1u);
  server().Resume(now_ms);
  host.verdict.kind = MqttVerdict::Kind::kTaken;
  EXPECT_THAT(Wills(), IsEmpty());
  server().Resume(now_ms);
  EXPECT_EQ(Wills(), kOne);
  server().Resume(now_ms);
  EXPECT_THAT(Wills(), IsEmpty());
}

TEST_F(MqttWillTest, OfAServerThatStopsAreNotPublished) {
  Stay(v5, 3600);
  Delay(10);
  v5.Connect();
  v311.Connect();
  server().Shutdown(now_ms);
  Pass(100'000);
  EXPECT_THAT(Wills(), IsEmpty());
}

TEST_F(MqttWillTest, OfAForgottenDeviceAreNotPublished) {
  v311.Connect();
  Stay(v5, 3600);
  Delay(10);
  v5.Connect();
  v5.Lose();
  Forget("d1", "");
  Pass(100'000);
  EXPECT_THAT(Wills(), IsEmpty());
}

}  // namespace
}  // namespace sluice::transport
