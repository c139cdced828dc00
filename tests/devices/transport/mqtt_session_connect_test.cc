// CONNECT, CONNACK, authentication, keep alive, shutdown.
#include "tests/devices/transport/mqtt_describe.h"
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

class MqttConnectTest : public MqttSessionFixture {
 public:
  TestMqttClient v5{*this, MqttLevel::k5}, v311{*this, MqttLevel::k311};
  // A persistent 5.0 client.
  void Persist(TestMqttClient& client, uint32_t expiry_s = 3600) {
    client.connect.clean = false;
    client.connect.properties.SetNumber(MqttProperty::kSessionExpiryInterval, expiry_s);
  }
};

TEST_F(MqttConnectTest, AnswersWithWhatItOffers) {
  options.receive_maximum = 20;
  options.max_packet_bytes = 4096;
  options.topic_alias_maximum = 8;
  v5.connect.keep_alive_s = 60;
  EXPECT_EQ(v5.Connect(),
            "CONNACK success {receive maximum 20, topic alias maximum 8, retain available 1, maximum packet size 4096, "
            "wildcard subscription available 1, subscription identifiers available 1, shared subscription available 0}");
  EXPECT_FALSE(v5.closing());
  EXPECT_EQ(v5.link->status().state, MqttConnectionStatus::State::kConnected);
  EXPECT_EQ(v5.link->status().device, "d1");
}

TEST_F(MqttConnectTest, Answers311) {
  EXPECT_EQ(v311.Connect(), "CONNACK success");
  EXPECT_EQ(server().figures().connects, 1u);
}

TEST_F(MqttConnectTest, HandsTheCredentialsUp) {
  v311.connect.has_user_name = v311.connect.has_password = true;
  v311.connect.user_name = "u";
  v311.connect.password = "p";
  v311.Connect();
  v5.connect.client_id = "other";
  v5.connect.has_password = true;
  v5.connect.password = "token";
  v5.Connect();
  EXPECT_THAT(host.authentications, ElementsAre("c u p", "other - token"));
}

TEST_F(MqttConnectTest, SaysNothingBeforeTheHostAnswered) {
  v5.SendConnect();
  v5.Send(MqttPing{});
  EXPECT_THAT(v5.Take(), IsEmpty());
  EXPECT_FALSE(v5.link->reading());
  v5.Authenticate();
  EXPECT_TRUE(v5.link->reading());
  const auto came = v5.Take();
  ASSERT_EQ(came.size(), 2u);
  EXPECT_THAT(came[0], StartsWith("CONNACK success"));
  EXPECT_EQ(came[1], "PINGRESP");
}

TEST_F(MqttConnectTest, RefusesWhomTheHostRefuses) {
  v5.SendConnect();
  v5.PublishSale("1", 1);   // is not worked on
  v5.link->AuthenticationRefused(MqttReason::kBadUserNameOrPassword, "who are you", now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre("CONNACK bad user name or password {reason string \"who are you\"}"));
  EXPECT_TRUE(v5.closing());
  EXPECT_THAT(host.publications, IsEmpty());
  v311.SendConnect();
  v311.link->AuthenticationRefused(MqttReason::kNotAuthorized, "", now_ms);
  EXPECT_THAT(v311.Take(), ElementsAre("CONNACK not authorized"));
  EXPECT_TRUE(v311.closing());
  EXPECT_EQ(server().figures().authentication_refused, 2u);
  EXPECT_EQ(server().figures().sessions, 0u);
}

TEST_F(MqttConnectTest, RefusesWith311sReturnCodes) {
  const struct { MqttReason reason; int code; } kCases[] = {
      {MqttReason::kUnsupportedProtocolVersion, 1}, {MqttReason::kClientIdentifierNotValid, 2},
      {MqttReason::kServerBusy, 3},                 {MqttReason::kQuotaExceeded, 3},
      {MqttReason::kBadUserNameOrPassword, 4},      {MqttReason::kNotAuthorized, 5},
      {MqttReason::kBanned, 5},
  };
  for (const auto& it : kCases) {
    TestMqttClient client(*this, MqttLevel::k311);
    client.SendConnect();
    client.link->AuthenticationRefused(it.reason, "", now_ms);
    std::string out;
    client.link->TakeOutput(&out, now_ms);
    EXPECT_EQ(ToHex(out), "2002000" + std::to_string(it.code));
    EXPECT_TRUE(client.closing());
  }
}

TEST_F(MqttConnectTest, RefusesAnAuthenticationMethod) {
  v5.connect.properties.SetText(MqttProperty::kAuthenticationMethod, "SCRAM-SHA-256");
  v5.SendConnect();
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK bad authentication method")));
  EXPECT_TRUE(v5.closing());
  EXPECT_THAT(host.authentications, IsEmpty());
}

TEST_F(MqttConnectTest, RefusesAnAuthPacket) {
  v5.Connect();
  v5.SendHex("f0 06 18 04 1500016d");
  EXPECT_THAT(v5.Take(), ElementsAre(AllOf(StartsWith("DISCONNECT protocol error"), HasSubstr("MQTT-4.12.0-7"))));
  EXPECT_TRUE(v5.closing());
}

TEST_F(MqttConnectTest, WantsConnectFirst) {
  for (const char* hex : {"c000", "30 05 0001 61 3131", "e000", "47", "00", "f0"}) {
    TestMqttClient client(*this, MqttLevel::k5);
    client.link = server().Open(next_connection++, now_ms);
    client.SendHex(hex);
    EXPECT_TRUE(client.closing()) << hex;
    EXPECT_THAT(client.Take(), IsEmpty());
    EXPECT_THAT(client.closed_why(), HasSubstr("MQTT-3.1.0-1"));
  }
}

TEST_F(MqttConnectTest, RefusesASecondConnect) {
  v5.Connect();
  v5.Send(v5.connect);
  EXPECT_THAT(v5.Take(), ElementsAre(AllOf(StartsWith("DISCONNECT protocol error"), HasSubstr("MQTT-3.1.0-2"))));
  EXPECT_TRUE(v5.closing());
  v311.client_id = "other";
  v311.connect.client_id = "other";
  v311.Connect();
  v311.Send(v311.connect);
  EXPECT_THAT(v311.Take(), IsEmpty());
  EXPECT_TRUE(v311.closing());
}

TEST_F(MqttConnectTest, RefusesPacketsOfServers) {
  for (const char* hex : {"20020000", "9003000100", "b0020001", "d000"}) {
    TestMqttClient client(*this, MqttLevel::k311);
    client.Connect();
    client.SendHex(hex);
    EXPECT_TRUE(client.closing()) << hex;
  }
}

TEST_F(MqttConnectTest, AnswersAnUnknownLevelInTheClientsTongue) {
  const struct { const char* connect; const char* answer; } kCases[] = {
      {"10 10 0006 4d5149736470 03 02 003c 0002 6162", "20020001"},        // 3.1
      {"10 0d 0004 4d515454 03 02 003c 0001 63", "20020001"},
      {"10 0e 0004 4d515454 06 02 003c 00 0001 63", "CONNACK"},              // a later one
      {"10 0d 0004 4d515454 84 02 003c 0001 63", "20020001"},                // a bridge of Mosquitto, 3.1.1
      {"10 0e 0004 4d515454 85 02 003c 00 0001 63", "CONNACK"},              // none that is known
      {"10 0d 0004 48545450 04 02 003c 0001 63", ""},                        // no MQTT
  };
  for (const auto& it : kCases) {
    auto link = server().Open(next_connection++, now_ms);
    link->Received(FromHex(it.connect), now_ms);
    EXPECT_TRUE(link->closing());
    std::string out;
    link->TakeOutput(&out, now_ms);
    if (std::string(it.answer) == "CONNACK") {
      EXPECT_EQ(ToHex(out.substr(0, 1)), "20");
      EXPECT_EQ(ToHex(out.substr(2, 2)), "0084") << ToHex(out);   // 5.0's
    } else {
      EXPECT_EQ(ToHex(out), it.answer);
    }
  }
  EXPECT_EQ(server().figures().unsupported_version, 6u);
}

// As bytes, not as our own decoder reads them.
TEST_F(MqttConnectTest, ConnackFlagsAreSessionPresentAlone) {
  const auto flags = [&](TestMqttClient& client, bool refused) {
    client.SendConnect();
    if (refused) client.link->AuthenticationRefused(MqttReason::kNotAuthorized, "", now_ms);
    if (!refused) client.Authenticate();
    std::string out;
    client.link->TakeOutput(&out, now_ms);
    client.Lose();
    return out.size() > 3 && out[0] == 0x20 ? static_cast<int>(static_cast<uint8_t>(out[2])) : -1;
  };
  v5.connect.clean = v311.connect.clean = false;
  v5.connect.properties.SetNumber(MqttProperty::kSessionExpiryInterval, 3600);
  v311.connect.client_id = "c311";
  for (TestMqttClient* client : {&v5, &v311}) {
    EXPECT_EQ(flags(*client, false), 0);
    EXPECT_EQ(flags(*client, false), 1);
    EXPECT_EQ(flags(*client, true), 0);
  }
}

// Unnumbered in 5.0: 3.1.2.11.3, 3.1.2.11.4 and 3.1.2.11.10.
TEST_F(MqttConnectTest, RefusesPropertiesThatMayNotBeSo) {
  for (const char* hex : {"10 11 0004 4d515454 05 02 003c 03 210000 0001 63",                 // receive maximum 0
                          "10 13 0004 4d515454 05 02 003c 05 2700000000 0001 63",             // maximum packet size 0
                          "10 12 0004 4d515454 05 02 003c 04 16000178 0001 63"}) {            // data without a method
    v5.link = server().Open(next_connection++, now_ms);
    v5.SendHex(hex);
    EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("CONNACK protocol error"))) << hex;
    EXPECT_TRUE(v5.closing());
  }
  EXPECT_EQ(server().figures().protocol_errors, 3u);
}

TEST_F(MqttConnectTest, RefusesAMalformedConnect) {
  v5.link = server().Open(next_connection++, now_ms);
  v5.SendHex("10 0e 0004 4d515454 05 03 003c 00 0001 63");
  EXPECT_THAT(v5.Take(), ElementsAre(AllOf(StartsWith("CONNACK malformed packet"), HasSubstr("MQTT-3.1.2-3"))));
  EXPECT_TRUE(v5.closing());
  v311.link = server().Open(next_connection++, now_ms);
  v311.SendHex("10 0d 0004 4d515454 04 03 003c 0001 63");
  EXPECT_THAT(v311.Take(), IsEmpty());
  EXPECT_TRUE(v311.closing());
  EXPECT_EQ(server().figures().malformed, 2u);
}

TEST_F(MqttConnectTest, AssignsAClientId) {
  v5.connect.client_id = "";
  EXPECT_THAT(v5.Connect(), HasSubstr("assigned client identifier \"sluice-"));
  const std::string id = v5.link->status().client_id;
  EXPECT_EQ(id.size(), 7u + 32);
  TestMqttClient another(*this, MqttLevel::k5, "");
  another.Connect();
  EXPECT_NE(another.link->status().client_id, id);
  // The session is the assigned name's.
  TestMqttClient again(*this, MqttLevel::k5, id);
  again.Connect();
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT session taken over")));
}

TEST_F(MqttConnectTest, AssignsAClientIdInSilenceAt311) {
  v311.connect.client_id = "";
  EXPECT_EQ(v311.Connect(), "CONNACK success");
  EXPECT_THAT(v311.link->status().client_id, StartsWith("sluice-"));
}

TEST_F(MqttConnectTest, RefusesAnEmptyClientIdThatWantsToStayAt311) {
  v311.connect.client_id = "";
  v311.connect.clean = false;
  v311.SendConnect();
  EXPECT_THAT(v311.Take(), ElementsAre("CONNACK client identifier not valid"));
  EXPECT_TRUE(v311.closing());
}

TEST_F(MqttConnectTest, TakesClientIdsOfAnyLengthUpToTheLimit) {
  options.max_client_id_bytes = 23;
  const std::string all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (const MqttLevel level : {MqttLevel::k5, MqttLevel::k311}) {
    for (size_t at = 0; at < all.size(); at += 23) {
      TestMqttClient client(*this, level, all.substr(at, 23));
      EXPECT_THAT(client.Connect(), StartsWith("CONNACK success"));
    }
    TestMqttClient shortest(*this, level, "0");
    EXPECT_THAT(shortest.Connect(), StartsWith("CONNACK success"));
  }
  TestMqttClient longer(*this, MqttLevel::k5, all.substr(0, 24));
  longer.SendConnect();
  EXPECT_THAT(longer.Take(), ElementsAre(StartsWith("CONNACK client identifier not valid")));
  EXPECT_TRUE(longer.closing());
  TestMqttClient old(*this, MqttLevel::k311, all.substr(0, 24));
  old.SendConnect();
  EXPECT_THAT(old.Take(), ElementsAre("CONNACK client identifier not valid"));
}

TEST_F(MqttConnectTest, KeepAliveIsOneAndAHalfTimesAsLong) {
  v5.connect.keep_alive_s = 10;
  v5.Connect();
  Pass(14'999);
  EXPECT_FALSE(v5.closing());
  v5.Send(MqttPing{});
  EXPECT_THAT(v5.Take(), ElementsAre("PINGRESP"));
  Pass(14'999);
  EXPECT_FALSE(v5.closing());
  Pass(1);
  EXPECT_TRUE(v5.closing());
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT keep alive timeout")));
  EXPECT_EQ(server().figures().keep_alive_timeouts, 1u);
}

TEST_F(MqttConnectTest, KeepAliveAt311EndsInSilence) {
  v311.connect.keep_alive_s = 2;
  v311.Connect();
  Pass(3000);
  EXPECT_TRUE(v311.closing());
  EXPECT_THAT(v311.Take(), IsEmpty());
}

TEST_F(MqttConnectTest, HalfAPacketKeepsNothingAlive) {
  v311.connect.keep_alive_s = 10;
  v311.Connect();
  Pass(10'000);
  v311.SendHex("30");
  Pass(5000);
  EXPECT_TRUE(v311.closing());
}

TEST_F(MqttConnectTest, WithoutKeepAliveAClientMayBeSilent) {
  v311.Connect();
  Pass(100'000'000);
  EXPECT_FALSE(v311.closing());
}

TEST_F(MqttConnectTest, ShortensTheKeepAliveOfV5) {
  options.max_keep_alive_s = 100;
  v5.connect.keep_alive_s = 0;
  EXPECT_THAT(v5.Connect(), HasSubstr("server keep alive 100"));
  Pass(149'999);
  EXPECT_FALSE(v5.closing());
  Pass(1);
  EXPECT_TRUE(v5.closing());
  v5.connect.keep_alive_s = 101;
  EXPECT_THAT(v5.Connect(), HasSubstr("server keep alive 100"));
  v5.connect.keep_alive_s = 100;
  EXPECT_THAT(v5.Connect(), Not(HasSubstr("server keep alive")));
}

TEST_F(MqttConnectTest, TellsResponseInformationToThoseWhoAsk) {
  EXPECT_THAT(v5.Connect(), Not(HasSubstr("response information")));
  v5.connect.properties.SetNumber(MqttProperty::kRequestResponseInformation, 1);
  EXPECT_THAT(v5.Connect(), HasSubstr("response information \"sluice/v1/d1/reply\""));
}

TEST_F(MqttConnectTest, TellsThatTheStoreIsFull) {
  host.store_full = true;
  EXPECT_THAT(v5.Connect(), HasSubstr("user sluice-store=store full"));
  EXPECT_EQ(v311.Connect(), "CONNACK success");
}

TEST_F(MqttConnectTest, FitsConnackIntoTheClientsMaximumPacketSize) {
  host.store_full = true;
  v5.connect.properties.SetNumber(MqttProperty::kRequestResponseInformation, 1);
  v5.connect.properties.SetNumber(MqttProperty::kMaximumPacketSize, 60);
  EXPECT_EQ(v5.Connect(),   // without the user property
            "CONNACK success {server keep alive 600, response information \"sluice/v1/d1/reply\", receive maximum 256, "
            "topic alias maximum 32, retain available 1, maximum packet size 262144, wildcard subscription available 1, "
            "subscription identifiers available 1, shared subscription available 0}");
  v5.connect.properties.SetNumber(MqttProperty::kMaximumPacketSize, 30);
  EXPECT_EQ(v5.Connect(),   // without what is the default
            "CONNACK success {server keep alive 600, receive maximum 256, topic alias maximum 32, maximum packet size 262144, "
            "shared subscription available 0}");
  v5.connect.properties.SetNumber(MqttProperty::kMaximumPacketSize, 10);
  EXPECT_EQ(v5.Connect(), "");
  EXPECT_TRUE(v5.closing());
}

TEST_F(MqttConnectTest, ARefusalWithoutRoomForTheReasonStringGoesWithout) {
  v5.connect.properties.SetNumber(MqttProperty::kMaximumPacketSize, 10);
  v5.SendConnect();
  v5.link->AuthenticationRefused(MqttReason::kNotAuthorized, "a long explanation", now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre("CONNACK not authorized"));
}

TEST_F(MqttConnectTest, ShutdownTellsEverybody) {
  Persist(v5);
  v5.Connect();
  v311.connect.client_id = "b";
  v311.Connect();
  TestMqttClient asking(*this, MqttLevel::k5, "a");
  asking.SendConnect();
  auto silent = server().Open(next_connection++, now_ms);
  server().Shutdown(now_ms);
  EXPECT_THAT(v5.Take(), ElementsAre(StartsWith("DISCONNECT server shutting down")));
  EXPECT_THAT(v311.Take(), IsEmpty());
  EXPECT_THAT(asking.Take(), ElementsAre(StartsWith("CONNACK server unavailable")));
  EXPECT_TRUE(v5.closing() && v311.closing() && asking.closing() && silent->closing());
  EXPECT_TRUE(server().Open(next_connection++, now_ms)->closing());
}

TEST_F(MqttConnectTest, SpeaksWhateverTheSplit) {
  std::string bytes;
  v5.connect.keep_alive_s = 30;
  EncodeMqtt(v5.connect, &bytes);
  for (size_t split = 1; split < bytes.size(); ++split) {
    auto link = server().Open(next_connection++, now_ms);
    link->Received(std::string_view(bytes).substr(0, split), now_ms);
    EXPECT_EQ(link->status().state, MqttConnectionStatus::State::kConnecting);
    link->Received(std::string_view(bytes).substr(split), now_ms);
    EXPECT_EQ(link->status().state, MqttConnectionStatus::State::kAuthenticating);
  }
}

}  // namespace
}  // namespace sluice::transport
