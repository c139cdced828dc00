// PUBLISH of clients: acknowledged when safe, in order, never twice and never lost; what has no room; what is refused.
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

using Kind = MqttVerdict::Kind;

class MqttPublishTest : public MqttSessionFixture {
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

TEST_F(MqttPublishTest, PubackLeavesOnlyWhenTheEventIsSafe) {
  Connect();
  for (TestMqttClient* client : {&v5, &v311}) {
    client->PublishSale("1", 10);
    EXPECT_THAT(client->Take(), IsEmpty());
    Pass(60'000);
    EXPECT_THAT(client->Take(), IsEmpty());
    Safe(Token());
    EXPECT_THAT(client->Take(), ElementsAre("PUBACK #10"));
  }
  EXPECT_THAT(host.TakeTopics(), ElementsAre("sluice/v1/d1/sale=1", "sluice/v1/d1/sale=1"));
  EXPECT_EQ(server().figures().acknowledged, 2u);
  EXPECT_EQ(server().figures().inflight, 0u);
}

TEST_F(MqttPublishTest, HandsUpEverythingThatWasSaid) {
  Connect();
  MqttPublish publish;
  publish.topic = "sluice/v1/d1/sale";
  publish.payload = "{}";
  publish.qos = 2;
  publish.retain = true;
  publish.packet_id = 5;
  publish.properties.SetNumber(MqttProperty::kPayloadFormatIndicator, 1);
  publish.properties.SetNumber(MqttProperty::kMessageExpiryInterval, 60);
  publish.properties.SetText(MqttProperty::kContentType, "application/json");
  publish.properties.SetText(MqttProperty::kResponseTopic, "sluice/v1/d1/reply");
  publish.properties.SetText(MqttProperty::kCorrelationData, "\x01");
  publish.properties.AddUser("trace", "1");
  publish.properties.AddUser("trace", "2");
  v5.Send(publish);
  ASSERT_EQ(host.publications.size(), 1u);
  const auto& it = host.publications[0];
  EXPECT_EQ(it.device + " " + it.client_id, "d1 c5");
  EXPECT_EQ(it.connection, v5.link->id());
  EXPECT_EQ(it.qos, 2);
  EXPECT_TRUE(it.retain);
  EXPECT_FALSE(it.dup || it.will);
  EXPECT_EQ(it.properties,
            "{payload format indicator 1, message expiry interval 60, content type \"application/json\", response topic "
            "\"sluice/v1/d1/reply\", correlation data \"\\x01\", user trace=1, user trace=2}");
}

TEST_F(MqttPublishTest, Qos0IsHandedUpAndNotAnswered) {
  Connect();
  v5.Publish("sluice/v1/d1/telemetry", "1", 0, 0);
  EXPECT_THAT(v5.Take(), IsEmpty());
  EXPECT_EQ(host.publications[0].token, 0u);
  EXPECT_EQ(server().figures().publishes[0], 1u);
}

TEST_F(MqttPublishTest, AcknowledgementsLeaveInTheOrderOfThePublishes) {
  Connect();
  for (TestMqttClient* client : {&v5, &v311}) {
    host.publications.clear();
    for (uint16_t id = 1; id <= 4; ++id) client->PublishSale("x", id);
    Safe(host.publications[2].token);
    Safe(host.publications[1].token);
    EXPECT_THAT(client->Take(), IsEmpty());
    Safe(host.publications[0].token);
    EXPECT_THAT(client->Take(), ElementsAre("PUBACK #1", "PUBACK #2", "PUBACK #3"));
    Safe(host.publications[3].token);
    EXPECT_THAT(client->Take(), ElementsAre("PUBACK #4"));
  }
}

TEST_F(MqttPublishTest, PubrecsLeaveInTheOrderOfThePublishes) {
  Connect();
  for (TestMqttClient* client : {&v5, &v311}) {
    host.publications.clear();
    for (uint16_t id = 1; id <= 3; ++id) client->Publish("sluice/v1/d1/sale", "x", 2, id);
    Safe(host.publications[2].token);
    Safe(host.publications[1].token);
    EXPECT_THAT(client->Take(), IsEmpty());
    Safe(host.publications[0].token);
    EXPECT_THAT(client->Take(), ElementsAre("PUBREC #1", "PUBREC #2", "PUBREC #3"));
  }
}

TEST_F(MqttPublishTest, AGroupThatIsSafeLeavesInOneOutput) {
  Connect();
  for (uint16_t id = 1; id <= 100; ++id) v5.PublishSale("x", id);
  const int before = host.wakes[v5.link->id()];
  AllSafe();
  EXPECT_EQ(host.wakes[v5.link->id()], before + 1);
  std::string out;
  v5.link->TakeOutput(&out, now_ms);
  EXPECT_EQ(out.size(), 400u);
}

TEST_F(MqttPublishTest, WhatIsSafeAtOnceIsAcknowledgedAtOnce) {
  Connect();
  host.verdict.kind = Kind::kSafe;
  v5.PublishSale("1", 1);
  v5.Publish("sluice/v1/d1/sale", "2", 2, 2);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1", "PUBREC #2"));
}

TEST_F(MqttPublishTest, RefusalsAreToldInV5AndAcknowledgedIn311) {
  Connect();
  host.verdict = {Kind::kRefused, MqttReason::kQuotaExceeded, "too many"};
  v5.PublishSale("1", 1);
  v311.PublishSale("1", 1);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1 quota exceeded {reason string \"too many\"}"));
  EXPECT_THAT(v311.Take(), ElementsAre("PUBACK #1"));
  host.verdict.reason = MqttReason::kServerMoved;   // no reason of PUBACK
  v5.PublishSale("1", 2);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #2 implementation specific error {reason string \"too many\"}"));
  EXPECT_EQ(server().figures().publishes_refused, 3u);
}

TEST_F(MqttPublishTest, LaterRefusalsKeepTheOrder) {
  Connect();
  v5.PublishSale("1", 1);
  v5.PublishSale("2", 2);
  server().Refused(host.publications[1].token, MqttReason::kPayloadFormatInvalid, "no JSON", now_ms);
  EXPECT_THAT(v5.Take(), IsEmpty());
  Safe(host.publications[0].token);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1", "PUBACK #2 payload format invalid {reason string \"no JSON\"}"));
}

TEST_F(MqttPublishTest, ARefusedQos2IsOver) {
  Connect();
  v5.Publish("sluice/v1/d1/sale", "1", 2, 7);
  server().Refused(Token(), MqttReason::kNotAuthorized, "", now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBREC #7 not authorized"));
  v5.Publish("sluice/v1/d1/sale", "1", 2, 7);   // another one
  EXPECT_EQ(host.publications.size(), 2u);
}

TEST_F(MqttPublishTest, NoReasonStringsForThoseWhoWantNone) {
  v5.connect.properties.SetNumber(MqttProperty::kRequestProblemInformation, 0);
  Connect();
  host.verdict = {Kind::kRefused, MqttReason::kQuotaExceeded, "too many"};
  v5.PublishSale("1", 1);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1 quota exceeded"));
}

TEST_F(MqttPublishTest, NoReasonStringsThatDoNotFit) {
  v5.connect.properties.SetNumber(MqttProperty::kMaximumPacketSize, 40);
  Connect();
  host.verdict = {Kind::kRefused, MqttReason::kQuotaExceeded, std::string(32, 'x')};
  v5.PublishSale("1", 1);
  host.verdict.text.pop_back();
  v5.PublishSale("1", 2);
  v5.Publish("sluice/v1/d1/sale", "1", 2, 3);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1 quota exceeded",
                                     "PUBACK #2 quota exceeded {reason string \"" + host.verdict.text + "\"}",
                                     "PUBREC #3 quota exceeded {reason string \"" + host.verdict.text + "\"}"));
}

TEST_F(MqttPublishTest, OthersTopicsAreRefused) {
  Connect();
  for (const char* topic : {"sluice/v1/d2/sale", "sluice/v1/d1x/sale", "other", "$SYS/x"}) {
    v5.Publish(topic, "1", 1, 1);
    v5.Publish(topic, "1", 2, 2);
    EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1 not authorized {reason string \"the topic is not this device's\"}",
                                       "PUBREC #2 not authorized {reason string \"the topic is not this device's\"}"));
    v5.Publish(topic, "1", 0, 0);
    EXPECT_THAT(v5.Take(), IsEmpty());
    v311.Publish(topic, "1", 1, 1);   // closing would have it sent for ever
    EXPECT_THAT(v311.Take(), ElementsAre("PUBACK #1"));
    EXPECT_FALSE(v311.closing());
  }
  EXPECT_THAT(host.publications, IsEmpty());
  EXPECT_EQ(host.not_taken.size(), 16u);
  EXPECT_EQ(host.not_taken[0].reason, MqttReason::kNotAuthorized);
  EXPECT_EQ(server().figures().not_authorized, 16u);
}

TEST_F(MqttPublishTest, At311ARefusedQos2IsCompletedLikeAnyOther) {
  Connect();
  v311.Publish("sluice/v1/d2/sale", "1", 2, 7);
  v311.Publish("sluice/v1/d2/sale", "1", 2, 7, true);
  v311.Ack(MqttType::kPubrel, 7);
  EXPECT_THAT(v311.Take(), ElementsAre("PUBREC #7", "PUBREC #7", "PUBCOMP #7"));
  EXPECT_EQ(host.not_taken.size(), 1u);
  EXPECT_EQ(server().figures().unknown_packet_ids, 0u);
}

TEST_F(MqttPublishTest, PayloadsThatClaimToBeTextAreChecked) {
  Connect();
  MqttPublish publish;
  publish.topic = "sluice/v1/d1/sale";
  publish.qos = 1;
  publish.packet_id = 1;
  publish.payload = "\xff";
  v5.Send(publish);
  publish.properties.SetNumber(MqttProperty::kPayloadFormatIndicator, 1);
  publish.packet_id = 2;
  v5.Send(publish);
  publish.qos = 0;
  v5.Send(publish);
  publish.payload = std::string_view("a\0b", 3);   // U+0000 is allowed in payloads
  v5.Send(publish);
  EXPECT_EQ(host.publications.size(), 2u);
  AllSafe();
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1", StartsWith("PUBACK #2 payload format invalid")));
  EXPECT_EQ(server().figures().payload_format_invalid, 2u);
}

TEST_F(MqttPublishTest, LongTopicsAreRefused) {
  options.max_topic_levels = 5;
  options.max_topic_bytes = 30;
  Connect();
  v5.Publish("sluice/v1/d1/a/b", "1", 1, 1);
  v5.Publish("sluice/v1/d1/a/b/c", "1", 1, 2);
  v5.Publish("sluice/v1/d1/" + std::string(18, 'x'), "1", 1, 3);
  AllSafe();
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1", StartsWith("PUBACK #2 topic name invalid"),
                                     StartsWith("PUBACK #3 topic name invalid")));
}

TEST_F(MqttPublishTest, TopicAliasesStandForTopics) {
  options.topic_alias_maximum = 3;
  Connect();
  MqttPublish publish;
  publish.payload = "x";
  for (uint32_t alias = 1; alias <= 3; ++alias) {
    const std::string topic = "sluice/v1/d1/" + std::to_string(alias);
    publish.topic = topic;
    publish.properties.SetNumber(MqttProperty::kTopicAlias, alias);
    v5.Send(publish);
    publish.topic = "";
    v5.Send(publish);
  }
  publish.topic = "sluice/v1/d1/other";   // stands for another one from now on
  v5.Send(publish);
  publish.topic = "";
  v5.Send(publish);
  EXPECT_THAT(host.TakeTopics(),
              ElementsAre("sluice/v1/d1/1=x", "sluice/v1/d1/1=x", "sluice/v1/d1/2=x", "sluice/v1/d1/2=x", "sluice/v1/d1/3=x",
                          "sluice/v1/d1/3=x", "sluice/v1/d1/other=x", "sluice/v1/d1/other=x"));
  v5.Lose();
  v5.Connect();   // aliases are the connection's
  v5.Send(publish);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT protocol error")));
}

TEST_F(MqttPublishTest, ATopicAliasAboveTheMaximumIsRefused) {
  options.topic_alias_maximum = 3;
  Connect();
  MqttPublish publish;
  publish.topic = "sluice/v1/d1/x";
  publish.properties.SetNumber(MqttProperty::kTopicAlias, 4);
  v5.Send(publish);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT topic alias invalid")));
  EXPECT_EQ(server().figures().topic_alias_invalid, 1u);
}

TEST_F(MqttPublishTest, WithoutAMaximumNoTopicAliasIsTaken) {
  options.topic_alias_maximum = 0;
  EXPECT_THAT(v5.Connect(), Not(HasSubstr("topic alias")));
  MqttPublish publish;
  publish.topic = "sluice/v1/d1/x";
  publish.properties.SetNumber(MqttProperty::kTopicAlias, 1);
  v5.Send(publish);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT topic alias invalid")));
}

TEST_F(MqttPublishTest, AliasesOfRefusedPublishesCount) {
  Connect();
  MqttPublish publish;
  publish.topic = "sluice/v1/d2/x";
  publish.properties.SetNumber(MqttProperty::kTopicAlias, 1);
  v5.Send(publish);
  publish.topic = "";
  v5.Send(publish);
  EXPECT_EQ(host.not_taken.size(), 2u);
  EXPECT_FALSE(v5.closing());
}

TEST_F(MqttPublishTest, TheReceiveMaximumIsKept) {
  options.receive_maximum = 3;
  Connect();
  for (uint16_t id = 1; id <= 3; ++id) v5.Publish("sluice/v1/d1/sale", "x", id == 2 ? 2 : 1, id);
  AllSafe();   // frees two: the QoS 2 one is not over until PUBCOMP
  EXPECT_EQ(v5.Take().size(), 3u);
  v5.PublishSale("x", 4);
  v5.PublishSale("x", 5);
  EXPECT_FALSE(v5.closing());
  v5.Publish("sluice/v1/d1/telemetry", "x", 0, 0);   // does not count
  EXPECT_FALSE(v5.closing());
  v5.Ack(MqttType::kPubrel, 2);
  v5.PublishSale("x", 6);
  EXPECT_FALSE(v5.closing());
  const size_t handed_up = host.publications.size();
  v5.PublishSale("x", 7);
  EXPECT_TRUE(v5.closing());
  EXPECT_EQ(host.publications.size(), handed_up);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBCOMP #2", StartsWith("DISCONNECT receive maximum exceeded")));
  EXPECT_EQ(server().figures().receive_maximum_exceeded, 1u);
  // The one too many is not taken for known when it comes again.
  v5.Connect();
  v5.PublishSale("x", 7, true);
  EXPECT_EQ(host.publications.size(), handed_up + 1);
}

TEST_F(MqttPublishTest, TheQuotaBeginsAnewWithAConnection) {
  options.receive_maximum = 2;
  Connect();
  v5.PublishSale("1", 1);
  v5.PublishSale("2", 2);
  v5.Lose();
  v5.Connect();
  v5.PublishSale("1", 1, true);
  v5.PublishSale("2", 2, true);
  EXPECT_FALSE(v5.closing());
}

TEST_F(MqttPublishTest, At311ReadingPausesWhereTheWindowIsFull) {
  options.receive_maximum = 2;
  Connect();
  for (uint16_t id = 1; id <= 4; ++id) v311.PublishSale(std::to_string(id), id);
  v311.Send(MqttPing{});
  EXPECT_EQ(host.publications.size(), 2u);
  EXPECT_FALSE(v311.link->reading());
  EXPECT_FALSE(v311.closing());
  Safe(host.publications[0].token);
  EXPECT_EQ(host.publications.size(), 3u);
  Safe(host.publications[1].token);
  EXPECT_EQ(host.publications.size(), 4u);
  EXPECT_TRUE(v311.link->reading());
  AllSafe();
  EXPECT_THAT(v311.Take(), ElementsAre("PUBACK #1", "PUBACK #2", "PINGRESP", "PUBACK #3", "PUBACK #4"));
  EXPECT_GE(server().figures().window_pauses, 1u);
}

TEST_F(MqttPublishTest, At311PubrelsBehindAFullWindowAreReached) {
  options.receive_maximum = 2;
  Connect();
  host.verdict.kind = Kind::kSafe;
  for (uint16_t id = 1; id <= 10; ++id) v311.Publish("sluice/v1/d1/sale", "x", 2, id);
  for (uint16_t id = 1; id <= 10; ++id) v311.Ack(MqttType::kPubrel, id);
  EXPECT_EQ(v311.Take().size(), 20u);
}

}  // namespace
}  // namespace sluice::transport
