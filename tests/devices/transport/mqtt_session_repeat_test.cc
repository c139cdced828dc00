// PUBLISH sent again: handed up once, and never taken for a repetition where something could be lost by it.
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

using Kind = MqttVerdict::Kind;

class MqttRepeatTest : public MqttSessionFixture {
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

TEST_F(MqttRepeatTest, Qos2IsHandedUpOnce) {
  Connect();
  for (TestMqttClient* client : {&v5, &v311}) {
    client->Publish("sluice/v1/d1/sale", "1", 2, 7);
    EXPECT_THAT(client->Take(), IsEmpty());
    client->Publish("sluice/v1/d1/sale", "1", 2, 7, true);   // before it is safe
    Safe(Token());
    EXPECT_THAT(client->Take(), ElementsAre("PUBREC #7"));
    client->Publish("sluice/v1/d1/sale", "1", 2, 7, true);   // the PUBREC was lost
    EXPECT_THAT(client->Take(), ElementsAre("PUBREC #7"));
    EXPECT_EQ(host.TakeTopics().size(), 1u);
    client->Ack(MqttType::kPubrel, 7);
    EXPECT_THAT(client->Take(), ElementsAre("PUBCOMP #7"));
    client->Publish("sluice/v1/d1/sale", "2", 2, 7);         // after PUBCOMP it is another one
    EXPECT_EQ(host.TakeTopics().size(), 1u);
    Safe(Token());
    EXPECT_THAT(client->Take(), ElementsAre("PUBREC #7"));
  }
  EXPECT_EQ(server().figures().merged, 4u);
}

TEST_F(MqttRepeatTest, Qos2IsHandedUpOnceAcrossConnections) {
  Connect();
  for (TestMqttClient* client : {&v5, &v311}) {
    client->Publish("sluice/v1/d1/sale", "1", 2, 7);
    client->Lose();
    EXPECT_THAT(client->Connect(), StartsWith("CONNACK success present"));
    client->Publish("sluice/v1/d1/sale", "1", 2, 7, true);
    EXPECT_THAT(client->Take(), IsEmpty());
    Safe(Token());
    EXPECT_THAT(client->Take(), ElementsAre("PUBREC #7"));
    client->Lose();
    client->Connect();
    client->Ack(MqttType::kPubrel, 7);   // it had arrived
    EXPECT_THAT(client->Take(), ElementsAre("PUBCOMP #7"));
    EXPECT_EQ(host.TakeTopics().size(), 1u);
  }
}

TEST_F(MqttRepeatTest, APubrelOfNothingIsAnswered) {
  Connect();
  v5.Ack(MqttType::kPubrel, 9);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBCOMP #9 packet identifier not found"));
  v311.Ack(MqttType::kPubrel, 9);
  EXPECT_THAT(v311.Take(), ElementsAre("PUBCOMP #9"));
  EXPECT_EQ(server().figures().unknown_packet_ids, 2u);
}

TEST_F(MqttRepeatTest, APubrelBeforePubrecIsRefused) {
  Connect();
  v5.Publish("sluice/v1/d1/sale", "1", 2, 7);
  v5.Ack(MqttType::kPubrel, 7);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT protocol error")));
}

TEST_F(MqttRepeatTest, SentAgainBeforePubackItIsNotHandedUpTwice) {
  Connect();
  for (TestMqttClient* client : {&v5, &v311}) {
    client->PublishSale("1", 3);
    client->Lose();
    client->Connect();
    client->PublishSale("1", 3, true);
    EXPECT_EQ(host.TakeTopics().size(), 1u);
    EXPECT_THAT(client->Take(), IsEmpty());
    Safe(Token());
    EXPECT_THAT(client->Take(), ElementsAre("PUBACK #3"));
  }
  EXPECT_EQ(server().figures().merged, 2u);
}

TEST_F(MqttRepeatTest, SafeWhileNobodyIsConnectedIsAnsweredWhenItIsSentAgain) {
  Connect();
  v5.PublishSale("1", 3);
  v5.Lose();
  Safe(Token());
  v5.Connect();
  EXPECT_THAT(v5.Take(), IsEmpty());   // not sent again yet: not acknowledged
  v5.PublishSale("1", 3, true);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #3"));
  EXPECT_EQ(host.TakeTopics().size(), 1u);
}

TEST_F(MqttRepeatTest, APubackThatWasNotTakenWasNotSent) {
  Connect();
  v5.PublishSale("1", 3);
  v5.Publish("sluice/v1/d1/sale", "2", 2, 4);
  AllSafe();   // in the output, which nobody takes
  v5.Lose();
  v5.Connect();
  v5.PublishSale("1", 3, true);
  v5.Publish("sluice/v1/d1/sale", "2", 2, 4, true);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #3", "PUBREC #4"));
  EXPECT_EQ(host.TakeTopics().size(), 2u);
}

TEST_F(MqttRepeatTest, SentAgainInTheSameConnectionItIsNotHandedUpTwice) {
  Connect();   // as ESP-IDF's client does after a second
  v311.PublishSale("1", 3);
  v311.PublishSale("1", 3, true);
  Safe(Token());
  EXPECT_THAT(v311.Take(), ElementsAre("PUBACK #3"));
  EXPECT_EQ(host.TakeTopics().size(), 1u);
}

TEST_F(MqttRepeatTest, AfterPubackTheSamePacketIdIsAnotherMessage) {
  Connect();
  for (TestMqttClient* client : {&v5, &v311}) {
    client->PublishSale("1", 3);
    Safe(Token());
    EXPECT_THAT(client->Take(), ElementsAre("PUBACK #3"));
    client->PublishSale("1", 3, true);   // whatever DUP says
    EXPECT_EQ(host.TakeTopics().size(), 2u);
    Safe(Token());
    EXPECT_THAT(client->Take(), ElementsAre("PUBACK #3"));
  }
}

TEST_F(MqttRepeatTest, ADeviceThatForgotItsPacketIdsLosesNothing) {
  Connect();
  v311.PublishSale("1", 1);
  v311.PublishSale("2", 2);
  v311.Lose();   // the device restarts, and its session is still here
  v311.Connect();
  v311.PublishSale("3", 1);         // no DUP: another message
  v311.PublishSale("4", 2, true);   // DUP by mistake: the content tells
  EXPECT_THAT(host.TakeTopics(), ElementsAre("sluice/v1/d1/sale=1", "sluice/v1/d1/sale=2", "sluice/v1/d1/sale=3",
                                             "sluice/v1/d1/sale=4"));
  AllSafe();
  EXPECT_THAT(v311.Take(), ElementsAre("PUBACK #1", "PUBACK #2"));
  EXPECT_EQ(server().figures().packet_ids_reused, 2u);
}

TEST_F(MqttRepeatTest, ADeviceThatForgotItsPacketIdsLosesNothingAtQos2) {
  Connect();
  for (TestMqttClient* client : {&v5, &v311}) {
    const auto publish = [client](std::string_view payload, uint16_t id, bool dup = false) {
      client->Publish("sluice/v1/d1/sale", payload, 2, id, dup);
    };
    publish("1", 1);
    Safe(Token());
    EXPECT_THAT(client->Take(), ElementsAre("PUBREC #1"));
    publish("2", 2);   // is not safe yet
    client->Lose();    // the device restarts before its PUBREL, and its session is still here
    EXPECT_THAT(client->Connect(), StartsWith("CONNACK success present"));
    publish("3", 1);         // no DUP: another message
    publish("4", 2, true);   // DUP by mistake: the content tells
    EXPECT_THAT(host.TakeTopics(), ElementsAre("sluice/v1/d1/sale=1", "sluice/v1/d1/sale=2", "sluice/v1/d1/sale=3",
                                               "sluice/v1/d1/sale=4"));
    EXPECT_THAT(client->Take(), IsEmpty());   // none of the new ones is safe
    AllSafe();
    EXPECT_THAT(client->Take(), ElementsAre("PUBREC #1", "PUBREC #2"));
    publish("3", 1, true);   // what is new is repeated as ever
    EXPECT_THAT(client->Take(), ElementsAre("PUBREC #1"));
    client->Ack(MqttType::kPubrel, 1);
    client->Ack(MqttType::kPubrel, 2);
    EXPECT_THAT(client->Take(), ElementsAre("PUBCOMP #1", "PUBCOMP #2"));
    EXPECT_THAT(host.TakeTopics(), IsEmpty());
  }
  EXPECT_EQ(server().figures().packet_ids_reused, 4u);
  EXPECT_EQ(server().figures().inflight, 0u);
}

TEST_F(MqttRepeatTest, AQos2RepetitionNeedsNoDup) {
  Connect();   // MQTT.js sends again without it
  v5.Publish("sluice/v1/d1/sale", "1", 2, 1);
  Safe(Token());
  v5.Lose();
  v5.Connect();
  v5.Publish("sluice/v1/d1/sale", "1", 2, 1);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBREC #1"));
  EXPECT_EQ(host.TakeTopics().size(), 1u);
}

TEST_F(MqttRepeatTest, TopicAndPayloadAreComparedEachForItself) {
  Connect();
  v5.Publish("sluice/v1/d1/a/1", "23", 2, 1);
  v5.Publish("sluice/v1/d1/a/12", "3", 2, 1);
  EXPECT_EQ(host.TakeTopics().size(), 2u);
}

TEST_F(MqttRepeatTest, Qos2PacketIdsUsedAgainTooEarlyDoNotUseUpTheReceiveMaximum) {
  options.receive_maximum = 2;
  host.verdict.kind = Kind::kSafe;
  Connect();
  for (int i = 0; i < 10; ++i) v5.Publish("sluice/v1/d1/sale", std::to_string(i), 2, 1);   // never a PUBREL
  v5.Publish("sluice/v1/d1/sale", "9", 2, 1, true);
  EXPECT_FALSE(v5.closing());
  EXPECT_EQ(host.publications.size(), 10u);
  v5.Publish("sluice/v1/d1/sale", "10", 2, 2);
  EXPECT_FALSE(v5.closing());
  v5.Publish("sluice/v1/d1/sale", "11", 2, 3);
  EXPECT_TRUE(v5.closing());   // two are open
}

TEST_F(MqttRepeatTest, APacketIdUsedTwiceAtOnceLosesNothing) {
  Connect();
  v311.PublishSale("1", 1);
  v311.PublishSale("2", 1);
  EXPECT_EQ(host.TakeTopics().size(), 2u);
  AllSafe();
  EXPECT_THAT(v311.Take(), ElementsAre("PUBACK #1", "PUBACK #1"));
}

TEST_F(MqttRepeatTest, TheOrderOfANewConnectionIsItsOwn) {
  Connect();
  for (uint16_t id = 1; id <= 3; ++id) v5.PublishSale(std::to_string(id), id);
  v5.Lose();
  v5.Connect();
  v5.PublishSale("2", 2, true);   // 1 is not sent again: nothing waits for it
  v5.PublishSale("4", 4);
  AllSafe();
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #2", "PUBACK #4"));
}

TEST_F(MqttRepeatTest, AnswersForAnEndedSessionAreIgnored) {
  v5.connect.properties.clear();   // ends with the connection
  Connect();
  v5.PublishSale("1", 1);
  const uint64_t token = Token();
  v5.Lose();
  v5.Connect();
  v5.PublishSale("2", 1);
  Safe(token);
  EXPECT_THAT(v5.Take(), IsEmpty());
  Safe(Token());
  Safe(Token());                    // twice, and what never was
  Safe(0);
  Safe(~uint64_t{0});
  server().Refused(token, MqttReason::kNotAuthorized, "", now_ms);
  server().Lost(token, now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1"));
}

TEST_F(MqttRepeatTest, WhatCannotBecomeSafeIsSentAgain) {
  Connect();
  v5.PublishSale("1", 1);
  v5.PublishSale("2", 2);
  Safe(host.publications[1].token);
  server().Lost(host.publications[0].token, now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT implementation specific error")));
  EXPECT_TRUE(v5.closing());
  v5.Connect();
  v5.PublishSale("1", 1, true);
  v5.PublishSale("2", 2, true);
  ASSERT_EQ(host.publications.size(), 3u);   // 1 anew, 2 was safe
  Safe(Token());
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1", "PUBACK #2"));
}

TEST_F(MqttRepeatTest, ARefusalThatWasNotToldIsDecidedAnew) {
  Connect();
  v5.PublishSale("1", 1);
  v5.Lose();
  server().Refused(Token(), MqttReason::kNotAuthorized, "", now_ms);
  v5.Connect();
  v5.PublishSale("1", 1, true);
  EXPECT_THAT(v5.Take(), ElementsAre("PUBACK #1 not authorized"));
  EXPECT_EQ(host.publications.size(), 1u);
}

TEST_F(MqttRepeatTest, ManyUnreleasedPublishesAreTooMany) {
  options.receive_maximum = 10;   // 1,024 slots
  Connect();
  host.verdict.kind = Kind::kSafe;
  for (uint16_t id = 1; id <= 1024; ++id) v311.Publish("sluice/v1/d1/sale", "x", 2, id);
  EXPECT_FALSE(v311.closing());
  v311.Publish("sluice/v1/d1/sale", "x", 2, 2000);
  EXPECT_TRUE(v311.closing());
  EXPECT_EQ(host.publications.size(), 1024u);
}

TEST_F(MqttRepeatTest, UnreleasedPublishesOfEarlierConnectionsMakeRoom) {
  options.receive_maximum = 10;
  Connect();
  host.verdict.kind = Kind::kSafe;
  uint16_t id = 0;
  for (TestMqttClient* client : {&v5, &v311}) {
    for (int connection = 0; connection < 300; ++connection) {   // each forgets its PUBRELs
      for (int i = 0; i < 5; ++i) client->Publish("sluice/v1/d1/sale", "x", 2, ++id);
      ASSERT_EQ(client->Take().size(), 5u);
      client->PublishSale("y", ++id);
      ASSERT_EQ(client->Take().size(), 1u);
      client->Lose();
      ASSERT_THAT(client->Connect(), StartsWith("CONNACK success present"));
    }
    client->Publish("sluice/v1/d1/sale", "x", 2, static_cast<uint16_t>(id - 1), true);
    EXPECT_THAT(client->Take(), ElementsAre(testing::HasSubstr("PUBREC")));
  }
  EXPECT_EQ(host.publications.size(), 3600u);   // the newest are still known
  EXPECT_EQ(server().figures().merged, 2u);
}

TEST_F(MqttRepeatTest, SafeRemnantsOfEarlierConnectionsMakeRoom) {
  options.receive_maximum = 10;
  Connect();
  uint16_t id = 0;
  for (int connection = 0; connection < 300; ++connection) {
    for (int i = 0; i < 10; ++i) v5.PublishSale("x", ++id);
    AllSafe();
    v5.Lose();   // the PUBACKs are not taken
    ASSERT_THAT(v5.Connect(), StartsWith("CONNACK success present"));
  }
  EXPECT_EQ(host.publications.size(), 3000u);
}

}  // namespace
}  // namespace sluice::transport
