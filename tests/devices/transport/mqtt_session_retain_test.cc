// What a device publishes to itself, and retained messages.
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

constexpr char kAck[] = "sluice/v1/d1/ack";

class MqttRetainTest : public MqttSessionFixture {
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

TEST_F(MqttRetainTest, ADeviceHearsItselfAndNobodyElse) {
  Connect();
  TestMqttClient other(*this, MqttLevel::k5, "c", "d2");
  other.Connect();
  v5.Subscribe(1, {{"sluice/v1/d1/#", 1}});
  v5.Take();
  v311.Publish("sluice/v1/d1/status", "on", 2, 1);
  v5.Publish("sluice/v1/d1/status", "off", 1, 2);
  other.Publish("sluice/v1/d2/status", "on", 1, 1);
  other.Publish("sluice/v1/d1/status", "forged", 1, 2);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/status = on", "PUBLISH q1 #2 sluice/v1/d1/status = off"));
  EXPECT_EQ(host.publications.size(), 3u);
}

TEST_F(MqttRetainTest, DupIsOurOwn) {
  Connect();
  for (const auto& [from, to] : {std::pair(&v311, &v5), std::pair(&v5, &v311)}) {
    to->Subscribe(1, {{"sluice/v1/d1/#", 1}});
    to->Take();
    from->PublishSale("x", 1, true);
    EXPECT_THAT(to->Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/sale = x"));
  }
}

TEST_F(MqttRetainTest, NoLocalKeepsItsOwnAway) {
  Connect();
  v5.Subscribe(1, {{.filter = "sluice/v1/d1/#", .qos = 1, .no_local = true}});
  v5.Take();
  v5.PublishSale("own", 1);
  v311.PublishSale("other's", 1);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/sale = other's"));
}

TEST_F(MqttRetainTest, NoLocalKeepsItsOwnRetainedMessagesAway) {
  Connect();
  v5.Publish("sluice/v1/d1/status", "own", 1, 1, false, true);
  v311.Publish("sluice/v1/d1/alarm", "other's", 1, 1, false, true);
  AllSafe();
  v5.Take();
  for (uint16_t id = 1; id <= 2; ++id) {   // a connection each: it is known as its own by the client id
    v5.Subscribe(2, {{.filter = "sluice/v1/d1/#", .qos = 1, .no_local = true}});
    EXPECT_THAT(v5.Take(), ElementsAre("SUBACK #2 granted QoS 1",
                                       "PUBLISH q1 retain #" + std::to_string(id) + " sluice/v1/d1/alarm = other's"));
    v5.Ack(MqttType::kPuback, id);
    v5.Lose();
    v5.Connect();
  }
  v5.Subscribe(3, {{.filter = "sluice/v1/d1/status", .qos = 1}});
  EXPECT_THAT(v5.Take(), ElementsAre("SUBACK #3 granted QoS 1", "PUBLISH q1 retain #3 sluice/v1/d1/status = own"));
}

TEST_F(MqttRetainTest, RefusedPublishesAreNotPassedOn) {
  Connect();
  v5.Subscribe(1, {{"sluice/v1/d1/#", 1}});
  v5.Take();
  host.verdict.kind = MqttVerdict::Kind::kRefused;
  v311.Publish("sluice/v1/d1/sale", "x", 1, 1, false, true);
  EXPECT_THAT(v5.Take(), IsEmpty());
  EXPECT_EQ(server().figures().retained, 0u);
}

TEST_F(MqttRetainTest, PropertiesArePassedOnUnaltered) {
  Connect();
  v5.Subscribe(1, {{"sluice/v1/d1/#", 1}});
  v5.Take();
  MqttPublish publish;
  publish.topic = "sluice/v1/d1/x";
  publish.qos = 1;
  publish.packet_id = 9;
  publish.payload = "p";
  publish.properties.SetNumber(MqttProperty::kPayloadFormatIndicator, 1);
  publish.properties.SetNumber(MqttProperty::kTopicAlias, 2);
  publish.properties.SetText(MqttProperty::kContentType, "t");
  publish.properties.SetText(MqttProperty::kResponseTopic, "sluice/v1/d1/r");
  publish.properties.SetText(MqttProperty::kCorrelationData, std::string_view("\0\xff", 2));
  publish.properties.AddUser("z", "1");
  publish.properties.AddUser("a", "2");
  publish.properties.AddUser("z", "3");
  v5.Send(publish);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/x = p {payload format indicator 1, content type \"t\", response "
                                     "topic \"sluice/v1/d1/r\", correlation data \"\\x00\\xff\", user z=1, user a=2, user z=3}"));
}

TEST_F(MqttRetainTest, RetainedMessagesAreGivenToLaterSubscriptions) {
  Connect();
  v311.Publish("sluice/v1/d1/status", "old", 1, 1, false, true);
  v311.Publish("sluice/v1/d1/status", "new", 1, 2, false, true);
  v311.Publish("sluice/v1/d1/name", "n", 0, 0, false, true);
  v311.Publish("sluice/v1/d1/other", "not kept", 1, 3);
  v5.Subscribe(1, {{"sluice/v1/d1/+", 1}});
  EXPECT_THAT(v5.Take(), ElementsAre("SUBACK #1 granted QoS 1", "PUBLISH q1 retain #1 sluice/v1/d1/status = new",
                                     "PUBLISH q0 retain sluice/v1/d1/name = n"));
  EXPECT_EQ(server().figures().retained, 2u);
  TestMqttClient other(*this, MqttLevel::k5, "c", "d2");
  other.Connect();
  other.Subscribe(1, {{"sluice/v1/d2/#", 1}, {"homeassistant/status", 1}});
  EXPECT_EQ(other.Take().size(), 1u);
  v5.Subscribe(2, {{"sluice/v1/d1/status", 0}});
  EXPECT_THAT(v5.Take(), ElementsAre("SUBACK #2 granted QoS 0", "PUBLISH q0 retain sluice/v1/d1/status = new"));
}

TEST_F(MqttRetainTest, AnEmptyRetainedMessageForgets) {
  Connect();
  v5.Subscribe(1, {{"sluice/v1/d1/status", 1}});
  v5.Take();
  v311.Publish("sluice/v1/d1/status", "on", 1, 1, false, true);
  v311.Publish("sluice/v1/d1/status", "", 1, 2);                 // not retained: forgets nothing
  EXPECT_EQ(server().figures().retained, 1u);
  v311.Publish("sluice/v1/d1/status", "", 1, 3, false, true);
  EXPECT_EQ(server().figures().retained, 0u);
  EXPECT_EQ(server().figures().retained_bytes, 0u);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/status = on", "PUBLISH q1 #2 sluice/v1/d1/status = ",
                                     "PUBLISH q1 #3 sluice/v1/d1/status = "));
  EXPECT_EQ(host.publications.size(), 3u);
}

TEST_F(MqttRetainTest, RetainAsPublishedIsAsAsked) {
  Connect();
  TestMqttClient as_published(*this, MqttLevel::k5, "rap");
  as_published.Connect();
  as_published.Subscribe(1, {{.filter = "sluice/v1/d1/#", .qos = 0, .retain_as_published = true}});
  v5.Subscribe(1, {{"sluice/v1/d1/#", 0}});
  v311.Subscribe(1, {{"sluice/v1/d1/#", 0}});
  for (TestMqttClient* client : {&v5, &v311, &as_published}) client->Take();
  v311.Publish("sluice/v1/d1/status", "1", 1, 1, false, true);
  v311.Publish("sluice/v1/d1/status", "2", 1, 2);
  EXPECT_THAT(as_published.Take(), ElementsAre("PUBLISH q0 retain sluice/v1/d1/status = 1", "PUBLISH q0 sluice/v1/d1/status = 2"));
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q0 sluice/v1/d1/status = 1", "PUBLISH q0 sluice/v1/d1/status = 2"));
  EXPECT_THAT(v311.Take(), ElementsAre("PUBLISH q0 sluice/v1/d1/status = 1", "PUBLISH q0 sluice/v1/d1/status = 2"));
}

TEST_F(MqttRetainTest, RetainHandlingIsAsAsked) {
  Connect();
  server().Deliver("d1", {.topic = kAck, .payload = "r", .retain = true}, now_ms);
  const auto subscribe = [&](uint8_t handling) {
    v5.Subscribe(1, {{.filter = kAck, .qos = 0, .retain_handling = handling}});
    return v5.Take().size() - 1;
  };
  EXPECT_EQ(subscribe(2), 0u);
  EXPECT_EQ(subscribe(1), 0u);   // existed
  EXPECT_EQ(subscribe(0), 1u);
  EXPECT_EQ(subscribe(0), 1u);   // once more
  MqttUnsubscribe unsubscribe;
  unsubscribe.packet_id = 2;
  unsubscribe.filters = {kAck};
  v5.Send(unsubscribe);
  v5.Take();
  EXPECT_EQ(subscribe(1), 1u);
  v311.Subscribe(1, {{kAck, 0}});
  v311.Subscribe(2, {{kAck, 1}});
  EXPECT_EQ(v311.Take().size(), 4u);   // 3.1.1 always sends
}

TEST_F(MqttRetainTest, RetainedMessagesCarryTheSubscriptionIdentifier) {
  Connect();
  server().Deliver("d1", {.topic = kAck, .payload = "r", .retain = true}, now_ms);
  MqttSubscribe subscribe;
  subscribe.packet_id = 1;
  subscribe.subscriptions = {{kAck, 1}};
  subscribe.properties.AddSubscriptionIdentifier(9);
  v5.Send(subscribe);
  EXPECT_THAT(v5.Take(), ElementsAre("SUBACK #1 granted QoS 1", "PUBLISH q1 retain #1 sluice/v1/d1/ack = r {subscription "
                                                                "identifier 9}"));
}

TEST_F(MqttRetainTest, RetainedMessagesExpire) {
  Connect();
  server().Deliver("d1", {.topic = kAck, .payload = "r", .retain = true, .expiry_s = 10}, now_ms);
  Pass(4000);
  v5.Subscribe(1, {{kAck, 0}});
  EXPECT_THAT(v5.Take(), ElementsAre("SUBACK #1 granted QoS 0", "PUBLISH q0 retain sluice/v1/d1/ack = r {message expiry interval "
                                                                "6}"));
  Pass(6000);
  v5.Subscribe(1, {{kAck, 0}});
  EXPECT_EQ(v5.Take().size(), 1u);
  EXPECT_EQ(server().figures().retained, 0u);
  EXPECT_EQ(server().figures().retained_bytes, 0u);
}

TEST_F(MqttRetainTest, RetainedMessagesOutliveSessions) {
  v311.connect.clean = true;
  v311.Connect();
  v311.Publish("sluice/v1/d1/status", "on", 1, 1, false, true);
  v311.Lose();
  EXPECT_EQ(server().figures().sessions, 0u);
  v5.Connect();
  v5.Subscribe(1, {{"sluice/v1/d1/status", 1}});
  EXPECT_EQ(v5.Take().size(), 2u);
}

TEST_F(MqttRetainTest, RetainedMessagesAreBounded) {
  options.max_retained_messages = 3;
  Connect();
  for (int i = 0; i < 5; ++i) {
    v5.Publish("sluice/v1/d1/" + std::to_string(i), "x", 0, 0, false, true);
    v5.Publish("sluice/v1/d1/0", "y", 0, 0, false, true);   // always the newest but one
  }
  EXPECT_EQ(server().figures().retained, 3u);
  EXPECT_EQ(server().figures().retained_evicted, 2u);
  v311.Subscribe(1, {{"sluice/v1/d1/#", 0}});
  EXPECT_THAT(v311.Take(), ElementsAre("SUBACK #1 granted QoS 0", "PUBLISH q0 retain sluice/v1/d1/3 = x",
                                       "PUBLISH q0 retain sluice/v1/d1/4 = x", "PUBLISH q0 retain sluice/v1/d1/0 = y"));
}

TEST_F(MqttRetainTest, RetainedBytesAreBounded) {
  options.max_retained_bytes = 5000;
  options.max_total_retained_bytes = 8000;
  Connect();
  TestMqttClient other(*this, MqttLevel::k5, "c", "d2");
  other.Connect();
  for (int i = 0; i < 10; ++i) {
    v5.Publish("sluice/v1/d1/" + std::to_string(i), std::string(1000, 'x'), 0, 0, false, true);
    EXPECT_LE(server().figures().retained_bytes, 5000u);
  }
  for (int i = 0; i < 10; ++i) {
    other.Publish("sluice/v1/d2/" + std::to_string(i), std::string(1000, 'x'), 0, 0, false, true);
    EXPECT_LE(server().figures().retained_bytes, 8000u);
  }
  EXPECT_GT(server().figures().retained_bytes, 6000u);
  EXPECT_GT(server().figures().retained_evicted, 10u);
}

TEST_F(MqttRetainTest, WhatFitsNowhereTakesNothingElseWithIt) {
  options.max_retained_bytes = 5000;
  options.max_total_retained_bytes = 6000;
  Connect();
  TestMqttClient other(*this, MqttLevel::k5, "c", "d2");
  other.Connect();
  other.Publish("sluice/v1/d2/a", std::string(4000, 'x'), 0, 0, false, true);
  v5.Publish("sluice/v1/d1/a", "kept", 0, 0, false, true);
  EXPECT_EQ(server().figures().retained, 2u);
  v5.Publish("sluice/v1/d1/b", std::string(3000, 'x'), 0, 0, false, true);   // the other device's share is not ours to take
  EXPECT_EQ(server().figures().retained, 2u);
  v5.Publish("sluice/v1/d1/a", std::string(3000, 'x'), 0, 0, false, true);   // replaces, and then there is none
  EXPECT_EQ(server().figures().retained, 1u);
  EXPECT_EQ(server().figures().retained_evicted, 2u);
}

}  // namespace
}  // namespace sluice::transport
