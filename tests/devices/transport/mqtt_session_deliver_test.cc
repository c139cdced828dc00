// What is delivered.
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

constexpr char kAck[] = "sluice/v1/d1/ack";

class MqttDeliverTest : public MqttSessionFixture {
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
  MqttDelivered Deliver(std::string_view payload, uint8_t qos = 1, uint64_t tag = 0) {
    return server().Deliver("d1", {.topic = kAck, .payload = payload, .qos = qos, .tag = tag}, now_ms);
  }
};

TEST_F(MqttDeliverTest, MessagesReachTheDevicesSubscribers) {
  Connect();
  TestMqttClient other(*this, MqttLevel::k5, "c", "d2");
  other.Connect();
  other.Subscribe(1, {{"sluice/v1/d2/#", 1}});
  v5.Subscribe(1, {{kAck, 1}});
  v311.Subscribe(1, {{"sluice/v1/d1/#", 0}});
  v5.Take();
  v311.Take();
  other.Take();
  const MqttDelivered delivered = Deliver("{}");
  EXPECT_EQ(delivered.sent, 2u);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/ack = {}"));
  EXPECT_THAT(v311.Take(), ElementsAre("PUBLISH q0 sluice/v1/d1/ack = {}"));
  EXPECT_THAT(other.Take(), IsEmpty());
  Deliver("{}", 0);   // no more than it was published with
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q0 sluice/v1/d1/ack = {}"));
  EXPECT_EQ(server().Deliver("nobody", {.topic = kAck, .payload = "x"}, now_ms).sent, 0u);
}

TEST_F(MqttDeliverTest, WhatMqttCannotCarryIsDropped) {
  Connect();
  EXPECT_EQ(server().Deliver("d1", {.topic = "a/#", .payload = "x"}, now_ms).dropped, 1u);
  EXPECT_EQ(server().Deliver("d1", {.topic = "", .payload = "x"}, now_ms).dropped, 1u);
  EXPECT_EQ(server().Deliver("d1", {.topic = "\xff", .payload = "x", .retain = true}, now_ms).dropped, 1u);
  MqttProperties properties;
  properties.SetNumber(MqttProperty::kReceiveMaximum, 1);
  EXPECT_EQ(server().Deliver("d1", {.topic = kAck, .payload = "x", .properties = &properties}, now_ms).dropped, 1u);
}

TEST_F(MqttDeliverTest, OverlappingSubscriptionsGiveOneCopyThatNamesThemAll) {
  Connect();
  MqttSubscribe subscribe;
  subscribe.packet_id = 1;
  subscribe.subscriptions = {{"sluice/v1/d1/#", 0}};
  subscribe.properties.AddSubscriptionIdentifier(5);
  v5.Send(subscribe);
  subscribe.subscriptions = {{"sluice/v1/+/ack", 1}, {kAck, 1}};   // the first is refused
  subscribe.properties.clear();
  subscribe.properties.AddSubscriptionIdentifier(268'435'455);
  v5.Send(subscribe);
  v5.Take();
  Deliver("1");
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/ack = 1 {subscription identifier 5, subscription identifier "
                                     "268435455}"));
  v311.Subscribe(1, {{"sluice/v1/d1/#", 0}, {kAck, 1}});
  v311.Take();
  Deliver("2");
  EXPECT_THAT(v311.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/ack = 2"));
}

TEST_F(MqttDeliverTest, PropertiesAreDelivered) {
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v311.Subscribe(1, {{kAck, 1}});
  v5.Take();
  v311.Take();
  MqttProperties properties;
  properties.SetNumber(MqttProperty::kPayloadFormatIndicator, 1);
  properties.SetText(MqttProperty::kContentType, "application/json");
  properties.SetText(MqttProperty::kResponseTopic, "sluice/v1/d1/command-result");
  properties.SetText(MqttProperty::kCorrelationData, "7");
  properties.AddUser("b", "1");
  properties.AddUser("a", "2");
  server().Deliver("d1", {.topic = kAck, .payload = "x", .expiry_s = 10, .properties = &properties}, now_ms);
  EXPECT_THAT(v5.Take(),
              ElementsAre("PUBLISH q1 #1 sluice/v1/d1/ack = x {payload format indicator 1, message expiry interval 10, content "
                          "type \"application/json\", response topic \"sluice/v1/d1/command-result\", correlation data \"7\", "
                          "user b=1, user a=2}"));
  EXPECT_THAT(v311.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/ack = x"));
}

TEST_F(MqttDeliverTest, NoTopicAliasesAreSent) {
  v5.connect.properties.SetNumber(MqttProperty::kTopicAliasMaximum, 10);
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v5.Take();
  Deliver("1");
  Deliver("2");
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/ack = 1", "PUBLISH q1 #2 sluice/v1/d1/ack = 2"));
}

TEST_F(MqttDeliverTest, TheClientsReceiveMaximumIsKept) {
  v5.connect.properties.SetNumber(MqttProperty::kReceiveMaximum, 2);
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v5.Take();
  for (const char* payload : {"1", "2", "3", "4"}) Deliver(payload);
  Deliver("0", 0);   // is not bounded
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/ack = 1", "PUBLISH q1 #2 sluice/v1/d1/ack = 2",
                                     "PUBLISH q0 sluice/v1/d1/ack = 0"));
  v5.Send(MqttPing{});
  EXPECT_THAT(v5.Take(), ElementsAre("PINGRESP"));   // other packets go on
  v5.Ack(MqttType::kPuback, 2);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #3 sluice/v1/d1/ack = 3"));
  v5.Ack(MqttType::kPuback, 1);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #4 sluice/v1/d1/ack = 4"));
  EXPECT_EQ(server().figures().queued, 2u);
  v5.Ack(MqttType::kPuback, 3);
  v5.Ack(MqttType::kPuback, 4);
  EXPECT_EQ(server().figures().queued, 0u);
  EXPECT_EQ(server().figures().queued_bytes, 0u);
  EXPECT_EQ(server().figures().deliveries_acknowledged, 4u);
}

TEST_F(MqttDeliverTest, WhatIsNotAcknowledgedComesAgainInOrder) {
  for (TestMqttClient* client : {&v5, &v311}) {
    if (client == &v5) client->connect.properties.SetNumber(MqttProperty::kReceiveMaximum, 3);
    client->Connect();
    client->Subscribe(1, {{kAck, 1}});
    client->Take();
    for (const char* payload : {"1", "2", "3"}) Deliver(payload);
    client->Take();
    client->Ack(MqttType::kPuback, 2);
    client->Lose();
    Deliver("4");   // meanwhile
    EXPECT_THAT(client->link, testing::IsNull());
    client->SendConnect();
    client->Authenticate();
    EXPECT_THAT(client->Take(), ElementsAre(StartsWith("CONNACK success present"), "PUBLISH q1 dup #1 sluice/v1/d1/ack = 1",
                                            "PUBLISH q1 dup #3 sluice/v1/d1/ack = 3", "PUBLISH q1 #4 sluice/v1/d1/ack = 4"));
    for (uint16_t id : {1, 3, 4}) client->Ack(MqttType::kPuback, id);
    client->Lose();
    client->connect.clean = true;   // ends it for the other one's turn
    client->Connect();
    client->Lose();
  }
}

TEST_F(MqttDeliverTest, ASmallerWindowHoldsRepetitionsBack) {
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  for (const char* payload : {"1", "2", "3"}) Deliver(payload);
  v5.Take();
  v5.Lose();
  v5.connect.properties.SetNumber(MqttProperty::kReceiveMaximum, 1);
  v5.SendConnect();
  v5.Authenticate();
  EXPECT_EQ(v5.Take().size(), 2u);
  v5.Ack(MqttType::kPuback, 3);   // was not sent in this connection
  EXPECT_THAT(v5.Take(), IsEmpty());
  EXPECT_EQ(server().figures().unknown_packet_ids, 1u);
  v5.Ack(MqttType::kPuback, 1);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 dup #2 sluice/v1/d1/ack = 2"));
}

TEST_F(MqttDeliverTest, Qos0IsNotKeptForTheAbsent) {
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v5.Lose();
  EXPECT_EQ(Deliver("1", 0).dropped, 1u);
  EXPECT_EQ(Deliver("2", 1).queued, 1u);
  v5.SendConnect();
  v5.Authenticate();
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK"), "PUBLISH q1 #1 sluice/v1/d1/ack = 2"));
}

TEST_F(MqttDeliverTest, TheQueueIsBounded) {
  options.max_queued_messages = 2;
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v5.Lose();
  EXPECT_EQ(Deliver("1", 1, 11).queued, 1u);
  EXPECT_EQ(Deliver("2", 1, 12).queued, 1u);
  EXPECT_EQ(Deliver("3", 1, 13).dropped, 1u);
  EXPECT_THAT(host.ended, ElementsAre("13 d1 c5 dropped"));
  EXPECT_EQ(server().figures().deliveries_dropped, 1u);
  v5.SendConnect();
  v5.Authenticate();
  EXPECT_EQ(v5.Take().size(), 3u);
}

TEST_F(MqttDeliverTest, TheQueueIsBoundedInBytes) {
  options.max_queued_bytes = 10'000;
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v5.Lose();
  size_t queued = 0;
  for (int i = 0; i < 100; ++i) queued += Deliver(std::string(1000, 'x')).queued;
  EXPECT_GE(queued, 5u);
  EXPECT_LE(queued, 10u);
  EXPECT_LE(server().figures().queued_bytes, 10'000u);
}

TEST_F(MqttDeliverTest, AllQueuesTogetherAreBounded) {
  options.max_total_queued_bytes = 5000;
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v311.Subscribe(1, {{kAck, 1}});
  v5.Lose();
  v311.Lose();
  for (int i = 0; i < 20; ++i) Deliver(std::string(500, 'x'));
  EXPECT_LE(server().figures().queued_bytes, 5000u);
  EXPECT_GT(server().figures().deliveries_dropped, 0u);
}

TEST_F(MqttDeliverTest, MessagesExpire) {
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v311.Subscribe(1, {{kAck, 1}});
  v5.Lose();
  v311.Lose();
  server().Deliver("d1", {.topic = kAck, .payload = "short", .expiry_s = 10, .tag = 1}, now_ms);
  server().Deliver("d1", {.topic = kAck, .payload = "long", .expiry_s = 100, .tag = 2}, now_ms);
  Pass(10'000);
  v5.SendConnect();
  v5.Authenticate();
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK"),
                                     "PUBLISH q1 #2 sluice/v1/d1/ack = long {message expiry interval 90}"));
  v311.SendConnect();
  v311.Authenticate();
  EXPECT_THAT(v311.Take(), ElementsAre(StartsWith("CONNACK"), "PUBLISH q1 #2 sluice/v1/d1/ack = long"));
  EXPECT_THAT(host.ended, ElementsAre("1 d1 c5 expired", "1 d1 c311 expired"));
  EXPECT_EQ(server().figures().deliveries_expired, 2u);
  v5.Lose();
  Pass(200'000);
  v5.SendConnect();
  v5.Authenticate();   // what was sent once is completed
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK"),
                                     "PUBLISH q1 dup #2 sluice/v1/d1/ack = long {message expiry interval 0}"));
}

TEST_F(MqttDeliverTest, WhatIsTooLargeForTheClientIsNotSent) {
  v5.connect.properties.SetNumber(MqttProperty::kMaximumPacketSize, 100);
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v5.Take();
  Deliver(std::string(100 - 2 - 2 - 16 - 2 - 1, 'x'), 1, 1);
  Deliver(std::string(100 - 2 - 2 - 16 - 2, 'y'), 1, 2);
  Deliver(std::string(100, 'z'), 0, 3);
  Deliver("w", 1, 4);
  const auto came = v5.Take();
  ASSERT_EQ(came.size(), 2u);
  EXPECT_THAT(came[0], HasSubstr("#1 sluice/v1/d1/ack = xxx"));
  EXPECT_THAT(came[1], HasSubstr("= w"));
  EXPECT_THAT(host.ended, ElementsAre("2 d1 c5 too large", "3 d1 c5 too large"));
  EXPECT_EQ(server().figures().deliveries_too_large, 2u);
}

TEST_F(MqttDeliverTest, TheHostLearnsWhatBecameOfIt) {
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v5.Take();
  Deliver("1", 1, 21);
  Deliver("2", 1, 22);
  Deliver("3", 0, 23);
  Deliver("4", 1, 24);
  v5.Ack(MqttType::kPuback, 1);
  v5.Ack(MqttType::kPuback, 2, MqttReason::kImplementationSpecificError);
  EXPECT_THAT(host.ended, ElementsAre("23 d1 c5 acknowledged", "21 d1 c5 acknowledged",
                                      "22 d1 c5 refused implementation specific error"));
  v5.Lose();
  Pass(3'600'000);   // the session ends
  EXPECT_EQ(host.ended.back(), "24 d1 c5 dropped");
  EXPECT_EQ(server().figures().queued, 0u);
  EXPECT_EQ(server().figures().deliveries_refused, 1u);
}

TEST_F(MqttDeliverTest, ARefusedDeliveryIsNotSentAgain) {
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  Deliver("1");
  v5.Ack(MqttType::kPuback, 1, MqttReason::kUnspecifiedError);
  v5.Lose();
  v5.SendConnect();
  v5.Authenticate();
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK success present")));
}

TEST_F(MqttDeliverTest, AcknowledgementsOfNothingAreCounted) {
  Connect();
  v5.Ack(MqttType::kPuback, 5);
  v5.Ack(MqttType::kPubcomp, 6);
  v5.Ack(MqttType::kPubrec, 7);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBREL #7 packet identifier not found"));
  v311.Ack(MqttType::kPubrec, 7);
  EXPECT_THAT(v311.Take(), ElementsAre("PUBREL #7"));
  v5.Ack(MqttType::kPubrec, 7, MqttReason::kUnspecifiedError);
  EXPECT_THAT(v5.Take(), IsEmpty());
  EXPECT_EQ(server().figures().unknown_packet_ids, 5u);
  v5.Subscribe(1, {{kAck, 1}});
  Deliver("1");
  v5.Take();
  v5.Ack(MqttType::kPubrec, 1);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT protocol error")));
}

TEST_F(MqttDeliverTest, PacketIdsGoRoundAndSkipThoseInUse) {
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v5.Take();
  Deliver("stays");   // #1
  v5.Take();
  for (int i = 0; i < 65'534; ++i) {
    Deliver("x");
    ASSERT_EQ(v5.Take().size(), 1u);
    v5.Ack(MqttType::kPuback, static_cast<uint16_t>(i + 2));
  }
  Deliver("x");
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #2 sluice/v1/d1/ack = x"));   // neither 0 nor 1
}

TEST_F(MqttDeliverTest, DeliveriesWaitForAClientThatDoesNotRead) {
  options.max_output_bytes = 1024;
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v5.Take();
  for (int i = 0; i < 100; ++i) Deliver(std::to_string(i));
  EXPECT_GT(server().figures().queued, server().figures().delivered);
  EXPECT_EQ(Deliver("lost", 0).dropped, 1u);
  const auto came = v5.Take();
  ASSERT_EQ(came.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_THAT(came[i], testing::EndsWith(" = " + std::to_string(i)));
}

}  // namespace
}  // namespace sluice::transport
