// SUBSCRIBE and UNSUBSCRIBE.
#include "tests/devices/transport/mqtt_describe.h"
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

constexpr char kAck[] = "sluice/v1/d1/ack";

class MqttSubscribeTest : public MqttSessionFixture {
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
  MqttDelivered Deliver(std::string_view payload) {
    return server().Deliver("d1", {.topic = kAck, .payload = payload}, now_ms);
  }
};

TEST_F(MqttSubscribeTest, SubscriptionsAreGrantedUpToQos1) {
  Connect();
  v5.Subscribe(7, {{kAck, 0}, {"sluice/v1/d1/command/#", 1}, {"sluice/v1/d1/+/x", 2}});
  EXPECT_THAT(v5.Take(), ElementsAre("SUBACK #7 granted QoS 0, granted QoS 1, granted QoS 1"));
  v311.Subscribe(8, {{kAck, 2}, {"sluice/v1/d1/#", 0}});
  EXPECT_THAT(v311.Take(), ElementsAre("SUBACK #8 granted QoS 1, granted QoS 0"));
  EXPECT_EQ(server().figures().subscriptions, 5u);
}

TEST_F(MqttSubscribeTest, OnlyADevicesOwnTopicsMayBeSubscribed) {
  Connect();
  const std::vector<MqttSubscription> asked = {{"#", 1}, {"sluice/v1/+/ack", 1}, {"sluice/v1/d2/ack", 1}, {"+/v1/d1/ack", 1},
                                               {"$SYS/#", 1}, {"homeassistant/status", 1}, {"sluice/v1/d1", 1}};
  v5.Subscribe(1, asked);
  EXPECT_THAT(v5.Take(), ElementsAre("SUBACK #1 not authorized, not authorized, not authorized, not authorized, not authorized, "
                                     "granted QoS 1, granted QoS 1"));
  v311.Subscribe(1, asked);
  EXPECT_THAT(v311.Take(), ElementsAre("SUBACK #1 unspecified error, unspecified error, unspecified error, unspecified error, "
                                       "unspecified error, granted QoS 1, granted QoS 1"));
  EXPECT_EQ(server().figures().subscriptions_refused, 10u);
}

TEST_F(MqttSubscribeTest, SharedSubscriptionsAreRefused) {
  Connect();
  v5.Subscribe(1, {{"$share/g/sluice/v1/d1/ack", 1}});
  EXPECT_THAT(v5.Take(), ElementsAre("SUBACK #1 shared subscriptions not supported"));
  v311.Subscribe(1, {{"$share/g/sluice/v1/d1/ack", 1}});
  EXPECT_THAT(v311.Take(), ElementsAre("SUBACK #1 unspecified error"));
}

TEST_F(MqttSubscribeTest, FiltersAndSubscriptionsHaveLimits) {
  options.max_subscriptions = 2;
  options.max_filter_bytes = 20;
  options.max_topic_levels = 5;
  Connect();
  v5.Subscribe(1, {{"sluice/v1/d1/12345678", 1}, {"sluice/v1/d1/a/b/c", 1}, {"sluice/v1/d1/a", 1}, {"sluice/v1/d1/b", 1},
                   {"sluice/v1/d1/c", 1}, {"sluice/v1/d1/a", 0}});
  EXPECT_THAT(v5.Take(), ElementsAre("SUBACK #1 topic filter invalid, topic filter invalid, granted QoS 1, granted QoS 1, "
                                     "quota exceeded, granted QoS 0"));
}

TEST_F(MqttSubscribeTest, UnsubscribeIsByteForByte) {
  Connect();
  v5.Subscribe(1, {{"sluice/v1/d1/#", 1}});
  v5.Take();
  MqttUnsubscribe unsubscribe;
  unsubscribe.packet_id = 2;
  unsubscribe.filters = {kAck, "sluice/v1/d1/+", "sluice/v1/D1/#", "#"};
  v5.Send(unsubscribe);
  EXPECT_THAT(v5.Take(), ElementsAre("UNSUBACK #2 no subscription existed, no subscription existed, no subscription existed, "
                                     "no subscription existed"));
  EXPECT_EQ(Deliver("1").sent, 1u);
  unsubscribe.filters = {"sluice/v1/d1/#", "sluice/v1/d1/#"};
  v5.Send(unsubscribe);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q1 #1 sluice/v1/d1/ack = 1", "UNSUBACK #2 success, no subscription existed"));
  EXPECT_EQ(Deliver("2").sent, 0u);
  // What was begun is completed, also in another connection.
  v5.Lose();
  EXPECT_THAT(v5.Connect(), StartsWith("CONNACK success present"));
  v311.Send(unsubscribe);
  EXPECT_THAT(v311.Take(), ElementsAre("UNSUBACK #2"));
}

TEST_F(MqttSubscribeTest, DeliveriesBegunBeforeUnsubscribeAreCompleted) {
  Connect();
  for (TestMqttClient* client : {&v5, &v311}) {
    client->Subscribe(1, {{kAck, 1}});
    Deliver("1");
    MqttUnsubscribe unsubscribe;
    unsubscribe.packet_id = 2;
    unsubscribe.filters = {kAck};
    client->Send(unsubscribe);
    client->Lose();
    client->SendConnect();
    client->Authenticate();
    EXPECT_THAT(client->Take(), ElementsAre(StartsWith("CONNACK success present"), "PUBLISH q1 dup #1 sluice/v1/d1/ack = 1"));
  }
}

TEST_F(MqttSubscribeTest, ASubscriptionIsReplacedByOneWithTheSameFilter) {
  Connect();
  v5.Subscribe(1, {{kAck, 1}});
  v5.Subscribe(2, {{kAck, 0}});
  v5.Take();
  Deliver("1");
  EXPECT_THAT(v5.Take(), ElementsAre("PUBLISH q0 sluice/v1/d1/ack = 1"));
}

TEST_F(MqttSubscribeTest, NothingIsLostWhereASubscriptionIsReplaced) {
  v5.connect.properties.SetNumber(MqttProperty::kReceiveMaximum, 1);
  Connect();
  for (TestMqttClient* client : {&v5, &v311}) {
    client->Subscribe(1, {{kAck, 1}});
    client->Take();
    Deliver("1");   // at 5.0 under way
    Deliver("2");   // and waiting for the window
    client->Subscribe(2, {{kAck, 0}});
    client->Subscribe(3, {{kAck, 1}});
    Deliver("3");
    for (uint16_t id : {1, 2, 3}) client->Ack(MqttType::kPuback, id);
    EXPECT_THAT(client->Take(), testing::IsSupersetOf({"PUBLISH q1 #1 sluice/v1/d1/ack = 1", "PUBLISH q1 #2 sluice/v1/d1/ack = 2",
                                                       "PUBLISH q1 #3 sluice/v1/d1/ack = 3"}));
    client->Subscribe(4, {{kAck, 0}});
    Deliver("4");   // in the middle of nothing: no gap between the old one and the new
    EXPECT_THAT(client->Take(), ElementsAre("SUBACK #4 granted QoS 0", "PUBLISH q0 sluice/v1/d1/ack = 4"));
  }
}

// As bytes, not as our own decoder reads them: 3.9.3 and 3.11.3 of both standards.
TEST_F(MqttSubscribeTest, SubackAndUnsubackHaveTheirOwnCodes) {
  options.max_subscriptions = 3;
  options.max_topic_levels = 5;
  Connect();
  const std::vector<MqttSubscription> asked = {{kAck, 0}, {"sluice/v1/d1/a", 1}, {"sluice/v1/d1/b", 2}, {"#", 1},
                                               {"sluice/v1/d1/c", 1}, {"sluice/v1/d1/a/b/c", 1}, {"$share/g/a", 1}};
  MqttUnsubscribe unsubscribe;
  unsubscribe.packet_id = 2;
  unsubscribe.filters = {kAck, "sluice/v1/d1/c"};
  const struct { TestMqttClient& client; const char* suback; const char* unsuback; } kCases[] = {
      {v5, "900a000100000101" "87978f9e", "b00500020000" "11"},
      {v311, "900900010001018080" "8080", "b0020002"},
  };
  for (const auto& it : kCases) {
    std::string out;
    it.client.Subscribe(1, asked);
    it.client.link->TakeOutput(&out, now_ms);
    EXPECT_EQ(ToHex(out), it.suback);
    it.client.Send(unsubscribe);
    it.client.link->TakeOutput(&out, now_ms);
    EXPECT_EQ(ToHex(out), it.unsuback);
  }
}

TEST_F(MqttSubscribeTest, ASubscriptionIdentifierOfZeroIsRefused) {
  Connect();
  v5.SendHex("82 0c 0001 02 0b00 0004 61626364 01");
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT protocol error")));
  EXPECT_TRUE(v5.closing());
}

}  // namespace
}  // namespace sluice::transport
