// The limits of a connection and of all together, and how a connection ends that does not keep to the rules.
#include "base/strings.h"
#include "tests/devices/transport/mqtt_describe.h"
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

class MqttLimitTest : public MqttSessionFixture {
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
};

TEST_F(MqttLimitTest, APublishRateIsKeptByPausing) {
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

TEST_F(MqttLimitTest, ARateOfAllTogetherIsKeptByPausingWhoeverComes) {
  options.total_publishes_per_second = 10;
  Connect();
  for (uint16_t id = 1; id <= 8; ++id) v5.PublishSale(std::to_string(id), id);
  for (uint16_t id = 1; id <= 8; ++id) v311.PublishSale(std::to_string(id), id);
  EXPECT_EQ(host.publications.size(), 10u);
  EXPECT_TRUE(v5.link->reading());
  EXPECT_FALSE(v311.link->reading());
  for (size_t more = 1; more <= 6; ++more) {
    const int64_t next_ms = server().next_tick_ms();
    EXPECT_LE(next_ms, now_ms + 102);
    Pass(next_ms - now_ms);
    EXPECT_EQ(host.publications.size(), 10 + more);
  }
  EXPECT_TRUE(v311.link->reading());
  EXPECT_FALSE(v5.closing() || v311.closing());
}

TEST_F(MqttLimitTest, ARateOfAllTogetherIsSharedByAllWhoWait) {
  options.total_publishes_per_second = 10;
  Connect();
  for (int id = 1; id <= 1000; ++id) v5.Publish("sluice/v1/d1/telemetry", "x", 0, 0);
  v311.PublishSale("1", 1);   // behind a flood that is older
  Pass(250);
  EXPECT_TRUE(std::any_of(host.publications.begin(), host.publications.end(), [](const auto& it) { return it.qos == 1; }));
  const size_t before = host.publications.size();
  for (int i = 0; i < 100; ++i) Pass(20);
  EXPECT_NEAR(static_cast<double>(host.publications.size() - before), 20.0, 1.0);
}

TEST_F(MqttLimitTest, LargePublishesKeepToTheRates) {
  options.max_packet_bytes = 1024;
  options.total_publishes_per_second = 10;
  Connect();
  std::string bytes;
  const std::string payload(1010, 'x');   // its head is all of it
  EncodeMqtt(MqttPublish{.topic = "sluice/v1/d1/sale", .payload = payload}, MqttLevel::k311, &bytes);
  std::string many;
  for (int i = 0; i < 30; ++i) many += bytes;
  many += FromHex("c000");
  v311.SendBytes(many);
  EXPECT_EQ(host.not_taken.size(), 10u);
  v5.PublishSale("1", 1);
  Pass(250);
  EXPECT_EQ(host.publications.size(), 1u) << "they left nothing owing to others";
  for (int i = 0; i < 30; ++i) Pass(100);
  EXPECT_EQ(host.not_taken.size(), 30u);
  EXPECT_THAT(v311.Take(), ElementsAre("PINGRESP")) << "what stands behind the last one is found";
}

TEST_F(MqttLimitTest, APacketTooLargeIsRefusedBeforeItsBodyComes) {
  options.max_packet_bytes = 2048;
  Connect();
  v5.Publish("sluice/v1/d1/sale", std::string(2048 - 3 - 2 - 17 - 2 - 1, 'x'), 1, 1);
  EXPECT_EQ(host.publications.size(), 1u);
  EXPECT_FALSE(v5.closing());
  v5.SendHex("32 fe0f");   // 2,049 bytes to come
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT packet too large")));
  EXPECT_EQ(server().figures().packet_too_large, 1u);
}

// 3.1.1 knows no maximum: a device that were closed would send the same again for ever.
TEST_F(MqttLimitTest, ALargePublishOf311IsAcknowledgedToldOfAndPassedOver) {
  options.max_packet_bytes = 2048;
  Connect();
  const std::string topic = "sluice/v1/d1/sale";
  for (const int qos : {0, 1, 2}) {
    SCOPED_TRACE(qos);
    std::string bytes;
    const std::string payload(100'000, 'x');
    MqttPublish publish{.topic = topic, .payload = payload, .qos = static_cast<uint8_t>(qos),
                        .packet_id = static_cast<uint16_t>(qos == 0 ? 0 : 7 + qos)};
    EncodeMqtt(publish, MqttLevel::k311, &bytes);
    const size_t before = host.not_taken.size();
    // In pieces of any size: of the length, of the topic, of the rest.
    size_t piece = 1;
    for (size_t at = 0; at < bytes.size(); at += piece, piece = piece * 3 / 2 + 1) v311.SendBytes(std::string_view(bytes).substr(at, piece));
    ASSERT_EQ(host.not_taken.size(), before + 1);
    EXPECT_EQ(host.not_taken.back().topic, topic);
    EXPECT_EQ(host.not_taken.back().why, StrCat("a packet of ", bytes.size(), " bytes: at most 2048 are taken"));
    EXPECT_TRUE(host.publications.empty());
    const std::vector<std::string> answers[] = {{}, {"PUBACK #8"}, {"PUBREC #9"}};
    EXPECT_EQ(v311.Take(), answers[qos]);
    // The next packet is found behind it.
    ASSERT_FALSE(v311.closing());
    v311.PublishSale("1", static_cast<uint16_t>(20 + qos));
    ASSERT_EQ(host.publications.size(), 1u);
    AllSafe();
    EXPECT_THAT(v311.Take(), ElementsAre(StrCat("PUBACK #", 20 + qos)));
    host.publications.clear();
    safe_until = 0;
  }
  EXPECT_EQ(server().figures().publishes_refused, 3u);
  EXPECT_EQ(server().figures().packet_too_large, 0u) << "nothing was closed";
  // One whose head is wrong is no publish.
  v311.SendHex("32 fe0f 0001 2b 0005 31");   // topic "+"
  v311.SendBytes(std::string(2048, 'x'));
  EXPECT_TRUE(v311.closing());
}

TEST_F(MqttLimitTest, ALargePublishOf5IsToldOfWhereItsHeadHasCome) {
  options.max_packet_bytes = 2048;
  Connect();
  std::string bytes;
  const std::string payload(5000, 'x');
  EncodeMqtt(MqttPublish{.topic = "sluice/v1/d1/sale", .payload = payload, .qos = 1, .packet_id = 3}, MqttLevel::k5, &bytes);
  v5.SendBytes(bytes);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT packet too large")));
  ASSERT_EQ(host.not_taken.size(), 1u);
  EXPECT_EQ(host.not_taken[0].topic, "sluice/v1/d1/sale");
  EXPECT_EQ(host.not_taken[0].reason, MqttReason::kPacketTooLarge);
}

TEST_F(MqttLimitTest, ALargeConnectIsRefusedBeforeItsBodyComes) {
  options.max_connect_bytes = 1000;
  auto link = server().Open(next_connection++, now_ms);
  link->Received(FromHex("10e50700044d515454"), now_ms);   // 3 + 997
  EXPECT_FALSE(link->closing());
  link = server().Open(next_connection++, now_ms);
  link->Received(FromHex("10e607"), now_ms);
  EXPECT_TRUE(link->closing());
  EXPECT_EQ(server().figures().packet_too_large, 1u);
}

TEST_F(MqttLimitTest, ConnectMustComeInTime) {
  options.connect_timeout_ms = 1000;
  auto link = server().Open(next_connection++, now_ms);
  link->Received(FromHex("100d00044d51"), now_ms);
  Pass(999);
  EXPECT_FALSE(link->closing());
  Pass(1);
  EXPECT_TRUE(link->closing());
  EXPECT_EQ(server().figures().connect_timeouts, 1u);
}

TEST_F(MqttLimitTest, AuthenticationMayNotTakeForEver) {
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

TEST_F(MqttLimitTest, ConnectionsHaveALimit) {
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

TEST_F(MqttLimitTest, SessionsHaveALimit) {
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
  // One that has none, with what is left of the device that left most; what is connected stays.
  TestMqttClient other(*this, MqttLevel::k5, "c", "d2"), last(*this, MqttLevel::k5, "c", "d3");
  v311.Lose();
  EXPECT_THAT(other.Connect(), StartsWith("CONNACK success"));
  EXPECT_EQ(server().figures().sessions_evicted, 2u);
  EXPECT_FALSE(third.closing());
  last.SendConnect();
  last.Authenticate();
  EXPECT_THAT(last.Take(), ElementsAre(StartsWith("CONNACK quota exceeded")));
}

TEST_F(MqttLimitTest, ADevicesSessionsHaveALimit) {
  options.max_sessions_per_device = 2;
  Connect();
  v311.Lose();
  Pass(1000);
  v5.Lose();
  Pass(1000);
  TestMqttClient third(*this, MqttLevel::k5, "third");
  EXPECT_THAT(third.Connect(), StartsWith("CONNACK success"));
  EXPECT_THAT(v5.Connect(), StartsWith("CONNACK success present"));   // the older one is gone
  TestMqttClient elsewhere(*this, MqttLevel::k5, "c", "d2");
  EXPECT_THAT(elsewhere.Connect(), StartsWith("CONNACK success"));
  EXPECT_EQ(server().figures().connections_evicted, 0u);
}

// As of a device that takes another client id each time and whose connections died unheard.
TEST_F(MqttLimitTest, ADeviceWithTooManyConnectionsLosesItsOldest) {
  options.max_sessions_per_device = 2;
  v5.connect.has_will = true;
  v5.connect.will.topic = "sluice/v1/d1/status";
  v5.connect.will.payload = "offline";
  v311.connect.clean = true;
  Connect();   // v5, then v311: a session that would stay and one that would not
  TestMqttClient third(*this, MqttLevel::k5, "third"), fourth(*this, MqttLevel::k5, "fourth");
  EXPECT_THAT(third.Connect(), StartsWith("CONNACK success"));
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT quota exceeded")));
  EXPECT_TRUE(v5.closing());
  EXPECT_THAT(host.TakeTopics(), ElementsAre("sluice/v1/d1/status=offline"));
  EXPECT_FALSE(v311.closing());
  EXPECT_THAT(fourth.Connect(), StartsWith("CONNACK success"));
  EXPECT_TRUE(v311.closing());
  EXPECT_FALSE(third.closing());
  EXPECT_EQ(server().figures().sessions, 2u);
  EXPECT_EQ(server().figures().connections_evicted, 2u);
  EXPECT_EQ(server().figures().quota_exceeded, 0u);
  // Taking over an own session needs no room.
  TestMqttClient again(*this, MqttLevel::k5, "third");
  again.Connect();
  EXPECT_FALSE(fourth.closing());
}

TEST_F(MqttLimitTest, AClientThatDoesNotReadIsNotAnswered) {
  options.max_output_bytes = 1024;
  Connect();
  for (int i = 0; i < 2000; ++i) v5.Send(MqttPing{});
  EXPECT_FALSE(v5.link->reading());
  EXPECT_EQ(server().figures().output_pauses, 1u);
  EXPECT_EQ(v5.Take().size(), 2000u);   // taken in several goes
  EXPECT_TRUE(v5.link->reading());
}

TEST_F(MqttLimitTest, MalformedPacketsEndTheConnection) {
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

TEST_F(MqttLimitTest, ADisconnectFitsTheClientsMaximumPacketSize) {
  v5.connect.properties.SetNumber(MqttProperty::kMaximumPacketSize, 30);
  Connect();
  v5.link->Disconnect(MqttReason::kAdministrativeAction, "a reason that takes more than thirty bytes", now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre("DISCONNECT administrative action"));
}

TEST_F(MqttLimitTest, NothingFollowsADisconnect) {
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

TEST_F(MqttLimitTest, AConnectionThatIsDestroyedDoesNotWake) {
  Connect();
  const uint64_t id = v5.link->id();
  const int before = host.wakes[id];
  v5.link.reset();
  EXPECT_EQ(host.wakes[id], before);   // the host would look at what is no more
  EXPECT_EQ(server().figures().sessions, 2u);
}

TEST_F(MqttLimitTest, WakesOnlyWhereThereIsSomethingToSee) {
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
