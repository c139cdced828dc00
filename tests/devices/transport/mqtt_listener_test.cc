// What the listener does with publishes and clients that are let in.
#include <algorithm>
#include <thread>

#include "tests/devices/transport/mqtt_listener_fixture.h"

namespace sluice::transport {
namespace {

using fakes::MqttPeer;
using testing::HasSubstr;
using testing::SizeIs;

using MqttListenerTest = MqttListenerFixture;

constexpr std::string_view kTopic = "sluice/v1/vm-1/sale";

TEST_F(MqttListenerTest, AcknowledgesOnlyWhatIsSafe) {
  Start();
  for (const MqttLevel level : {MqttLevel::k5, MqttLevel::k311}) {
    MqttPeer peer = Peer("vm-1", StrCat("c", static_cast<int>(level)), level);
    ASSERT_TRUE(peer.Publish(kTopic, "one", 1));
    const size_t so_far = level == MqttLevel::k5 ? 1 : 2;
    const auto taken = handler.Await(so_far);
    ASSERT_THAT(taken, SizeIs(so_far));
    EXPECT_EQ(taken.back().device, "vm-1");
    EXPECT_EQ(taken.back().payload, "one");
    EXPECT_NE(taken.back().token, 0u);
    EXPECT_TRUE(peer.Silent(50));
    EXPECT_EQ(listener->status().sessions.inflight, 1u) << "withheld";
    EXPECT_TRUE(peer.Ping()) << "and nothing else is held up";
    listener->answers()->Safe(taken.back().token);
    EXPECT_EQ(peer.ExpectPuback(), 1);
  }
}

TEST_F(MqttListenerTest, AcknowledgesInOrderAndTogether) {
  Start();
  MqttPeer peer = Peer("vm-1");
  for (uint16_t id = 1; id <= 50; ++id) ASSERT_TRUE(peer.Publish(kTopic, StrCat(id), id));
  auto taken = handler.Await(50);
  ASSERT_THAT(taken, SizeIs(50));
  for (size_t i = 1; i < taken.size(); ++i) listener->answers()->Safe(taken[i].token);   // all but the first
  EXPECT_TRUE(peer.Silent(50));
  listener->answers()->Safe(taken[0].token);
  const std::string bytes = peer.net.Receive();
  EXPECT_EQ(bytes.size(), 50u * 4) << "one write for all";
  for (size_t i = 0; i < 50; ++i) EXPECT_EQ(static_cast<uint8_t>(bytes.at(4 * i + 3)), i + 1);
}

TEST_F(MqttListenerTest, AnswersFromManyThreadsReachTheirClients) {
  options.connections = {.total = 50, .per_address = 50, .half_open = 50, .half_open_per_address = 50, .per_second = 1000};
  static constexpr int kPeers = 10;
  static constexpr uint16_t kEach = 200;
  for (int i = 0; i < kPeers; ++i) Allow(StrCat("d-", i), StrCat("secret-", i));
  Start();
  std::vector<std::thread> peers, answerers;
  std::atomic<size_t> answered{0};
  for (int t = 0; t < 3; ++t) {
    answerers.emplace_back([&, t] {
      const auto answers = listener->answers();
      for (size_t next = static_cast<size_t>(t); next < kPeers * kEach;) {
        const auto taken = handler.Await(next + 1);
        for (; next < taken.size(); next += 3) answers->Safe(taken[next].token);
      }
    });
  }
  for (int i = 0; i < kPeers; ++i) {
    peers.emplace_back([&, i] {
      MqttPeer peer = Peer(StrCat("d-", i));
      for (uint16_t id = 1; id <= kEach; ++id) EXPECT_TRUE(peer.Publish(StrCat("sluice/v1/d-", i, "/sale"), "x", id));
      for (uint16_t id = 1; id <= kEach; ++id) EXPECT_EQ(peer.ExpectPuback(), id);
    });
  }
  for (auto& peer : peers) peer.join();
  for (auto& answerer : answerers) answerer.join();
  EXPECT_EQ(listener->status().sessions.acknowledged, size_t{kPeers} * kEach);
}

TEST_F(MqttListenerTest, WhatIsLostIsNotAcknowledgedAndComesAgain) {
  Start();
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish(kTopic, "one", 1));
  listener->answers()->Lost(handler.Await(1).at(0).token);
  const auto disconnect = peer.Expect<MqttDisconnect>();
  ASSERT_TRUE(disconnect);
  EXPECT_EQ(disconnect->reason, MqttReason::kImplementationSpecificError);
  EXPECT_TRUE(peer.net.ReceiveToEnd());
  MqttPeer again = Peer("vm-1");
  ASSERT_TRUE(again.Publish(kTopic, "one", 1, 1, false, true));
  listener->answers()->Safe(handler.Await(2).at(1).token);
  EXPECT_EQ(again.ExpectPuback(), 1);
}

TEST_F(MqttListenerTest, WithoutRoomItWithholdsAndGoesOnInOrder) {
  Start();
  handler.AnswerWith({.kind = MqttVerdict::Kind::kNoRoom});
  MqttPeer peer = Peer("vm-1");
  for (uint16_t id = 1; id <= 20; ++id) ASSERT_TRUE(peer.Publish(kTopic, StrCat(id), id));
  ASSERT_TRUE(Eventually([](const auto& status) { return status.sessions.waiting == 20; }));
  EXPECT_TRUE(peer.Ping()) << "the connection lives";
  handler.AnswerWith({.kind = MqttVerdict::Kind::kTaken});
  listener->answers()->Room();
  const auto taken = handler.Await(20);
  ASSERT_THAT(taken, SizeIs(20));
  for (size_t i = 0; i < taken.size(); ++i) {
    EXPECT_EQ(taken[i].payload, StrCat(i + 1));
    listener->answers()->Safe(taken[i].token);
  }
  for (uint16_t id = 1; id <= 20; ++id) EXPECT_EQ(peer.ExpectPuback(), id);
}

TEST_F(MqttListenerTest, ARefusedPublishIsToldToV5AndAcknowledgedTo311) {
  Start();
  handler.AnswerWith({.kind = MqttVerdict::Kind::kRefused, .reason = MqttReason::kPayloadFormatInvalid, .text = "no JSON"});
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish(kTopic, "junk", 1));
  const auto ack = peer.Expect<MqttAck>();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->reason, MqttReason::kPayloadFormatInvalid);
  EXPECT_EQ(ack->properties.text(MqttProperty::kReasonString), "no JSON");
  MqttPeer old = Peer("vm-1", "c2", MqttLevel::k311);
  ASSERT_TRUE(old.Publish(kTopic, "junk", 7));
  EXPECT_EQ(old.ExpectPuback(), 7);
}

TEST_F(MqttListenerTest, NobodySpeaksForAnotherDevice) {
  options.topics = {"tele/{device}/#"};
  Start();
  MqttPeer peer = Peer("vm-1");
  uint16_t id = 0;
  for (const char* topic : {"sluice/v1/vm-2/sale", "sluice/v1/vm-11/sale", "tele/vm-2/STATE", "other"}) {
    ASSERT_TRUE(peer.Publish(topic, "x", ++id));
    const auto ack = peer.Expect<MqttAck>();
    ASSERT_TRUE(ack) << topic;
    EXPECT_EQ(ack->reason, MqttReason::kNotAuthorized) << topic;
  }
  EXPECT_THAT(handler.not_taken(), SizeIs(4));
  ASSERT_TRUE(peer.Publish("tele/vm-1/STATE", "x", ++id));
  EXPECT_EQ(handler.Await(1).at(0).topic, "tele/vm-1/STATE");
  for (const char* filter : {"sluice/v1/vm-2/ack", "sluice/#", "#", "tele/+/STATE"}) {
    ASSERT_TRUE(peer.Subscribe(filter, ++id));
    const auto suback = peer.Expect<MqttSuback>();
    ASSERT_TRUE(suback) << filter;
    EXPECT_EQ(suback->reasons.at(0), MqttReason::kNotAuthorized) << filter;
  }
}

TEST_F(MqttListenerTest, DeliversToWhoSubscribed) {
  Start();
  MqttPeer peer = Peer("vm-1");
  MqttPeer other = Peer("vm-2");
  ASSERT_TRUE(peer.Subscribe("sluice/v1/vm-1/ack", 1));
  ASSERT_TRUE(peer.Expect<MqttSuback>());
  listener->Deliver("vm-1", "sluice/v1/vm-1/ack", "receipt");
  listener->Deliver("vm-2", "sluice/v1/vm-2/ack", "nobody wants it");
  const auto publish = peer.Expect<MqttPublish>();
  ASSERT_TRUE(publish);
  EXPECT_EQ(publish->topic, "sluice/v1/vm-1/ack");
  EXPECT_EQ(publish->payload, "receipt");
  EXPECT_EQ(publish->qos, 1);
  EXPECT_TRUE(other.Ping());
}

TEST_F(MqttListenerTest, AWillIsPublishedWhenTheClientIsGoneWithoutAWord) {
  Start();
  {
    MqttPeer peer;
    ASSERT_TRUE(peer.net.Connect(listener->port()));
    auto who = As("vm-1", "secret-1");
    who.will_topic = "sluice/v1/vm-1/status";
    who.will_payload = "{\"state\":\"offline\"}";
    ASSERT_EQ(ReasonOf(peer.Connect(who)), MqttReason::kSuccess);
    peer.net.Reset();
  }
  const auto taken = handler.Await(1);
  ASSERT_THAT(taken, SizeIs(1));
  EXPECT_TRUE(taken[0].will);
  EXPECT_EQ(taken[0].topic, "sluice/v1/vm-1/status");
  EXPECT_TRUE(Eventually([](const auto& status) { return status.open == 0; }));
}

TEST_F(MqttListenerTest, ANewConnectionTakesOverOverTls) {
  UseTls(true);
  Start();
  MqttPeer first, second;
  fakes::PeerOptions who{.client_id = "same", .clean = false, .session_expiry_s = 60};
  ASSERT_TRUE(first.net.Connect(listener->port()));
  ASSERT_TRUE(first.net.StartTls(Tls(Certificate("vm-1")))) << first.net.error();
  ASSERT_EQ(ReasonOf(first.Connect(who)), MqttReason::kSuccess);
  ASSERT_TRUE(first.Publish(kTopic, "one", 1));
  const auto taken = handler.Await(1);
  ASSERT_TRUE(second.net.Connect(listener->port()));
  ASSERT_TRUE(second.net.StartTls(Tls(Certificate("vm-1"))));
  const auto connack = second.Connect(who);
  ASSERT_EQ(ReasonOf(connack), MqttReason::kSuccess);
  EXPECT_TRUE(connack->session_present);
  const auto disconnect = first.Expect<MqttDisconnect>();
  ASSERT_TRUE(disconnect);
  EXPECT_EQ(disconnect->reason, MqttReason::kSessionTakenOver);
  EXPECT_TRUE(first.net.ReceiveToEnd());
  // The repetition on the new connection is the same publish, and is answered when that is safe.
  ASSERT_TRUE(second.Publish(kTopic, "one", 1, 1, false, true));
  EXPECT_TRUE(second.Silent(50));
  listener->answers()->Safe(taken.at(0).token);
  EXPECT_EQ(second.ExpectPuback(), 1);
  EXPECT_THAT(handler.Await(1), SizeIs(1));
}

TEST_F(MqttListenerTest, AClientThatDoesNotReadIsClosedAndHoldsUpNobody) {
  options.write_timeout_ms = 300;
  options.sessions.max_output_bytes = 16 << 10;
  Start();
  MqttPeer slow;
  slow.net.SetReceiveBuffer(4096);
  ASSERT_TRUE(slow.net.Connect(listener->port()));
  ASSERT_EQ(ReasonOf(slow.Connect(As("vm-1", "secret-1"))), MqttReason::kSuccess);
  ASSERT_TRUE(slow.Subscribe("sluice/v1/vm-1/ack", 1));
  ASSERT_TRUE(slow.Expect<MqttSuback>());
  MqttPeer other = Peer("vm-2");
  const std::string much(8 << 10, 'x');
  for (int i = 0; i < 200; ++i) listener->Deliver("vm-1", "sluice/v1/vm-1/ack", much);
  for (uint16_t id = 1; id <= 20; ++id) {
    ASSERT_TRUE(other.Publish("sluice/v1/vm-2/sale", "x", id));
    listener->answers()->Safe(handler.Await(id).back().token);
    ASSERT_EQ(other.ExpectPuback(), id);
  }
  EXPECT_TRUE(Eventually([](const auto& status) { return status.refusals.slow_reader == 1; }));
  EXPECT_TRUE(slow.net.ReceiveToEnd());
  EXPECT_TRUE(other.Ping());
}

TEST_F(MqttListenerTest, StoppingAcknowledgesWhatIsSafeAndNothingElse) {
  Start();
  MqttPeer peer = Peer("vm-1");
  for (uint16_t id = 1; id <= 3; ++id) ASSERT_TRUE(peer.Publish(kTopic, StrCat(id), id));
  const auto taken = handler.Await(3);
  const auto answers = listener->answers();
  answers->Safe(taken.at(0).token);
  answers->Safe(taken.at(2).token);   // behind one that is not safe
  listener->Stop();
  EXPECT_EQ(peer.ExpectPuback(), 1);
  const auto disconnect = peer.Expect<MqttDisconnect>();
  ASSERT_TRUE(disconnect) << "no second PUBACK";
  EXPECT_EQ(disconnect->reason, MqttReason::kServerShuttingDown);
  EXPECT_TRUE(peer.net.ReceiveToEnd());
  EXPECT_EQ(listener->status().state, State::kClosed);
  listener.reset();
  answers->Safe(taken.at(1).token);   // the journal may be later than the listener
}

TEST_F(MqttListenerTest, StoppingDoesNotWaitForAClientThatDoesNotRead) {
  options.write_timeout_ms = 600'000;
  Start();
  MqttPeer slow;
  slow.net.SetReceiveBuffer(4096);
  ASSERT_TRUE(slow.net.Connect(listener->port()));
  ASSERT_EQ(ReasonOf(slow.Connect(As("vm-1", "secret-1"))), MqttReason::kSuccess);
  ASSERT_TRUE(slow.Subscribe("sluice/v1/vm-1/ack", 1));
  ASSERT_TRUE(slow.Expect<MqttSuback>());
  for (int i = 0; i < 100; ++i) listener->Deliver("vm-1", "sluice/v1/vm-1/ack", std::string(8 << 10, 'x'));
  const auto began = std::chrono::steady_clock::now();
  listener->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

TEST_F(MqttListenerTest, APortThatIsTakenIsTriedAgain) {
  Start();
  MqttListenerOptions same = options;
  same.bind = StrCat("127.0.0.1:", listener->port());
  auto second = MakeMqttListener(same, handler, clock, random);
  ASSERT_TRUE(second->Start().ok());
  EXPECT_EQ(second->status().state, State::kWaiting);
  EXPECT_THAT(second->status().detail, HasSubstr("in use"));
  listener->Stop();
  listener = std::move(second);
  EXPECT_TRUE(Eventually([](const auto& status) { return status.state == State::kListening; }));
  Peer("vm-1");
}

TEST_F(MqttListenerTest, FilesThatAreMissingAreWaitedFor) {
  UseTls(false);
  ASSERT_EQ(std::remove((folder / "server.key").c_str()), 0);
  listener = MakeMqttListener(options, handler, clock, random);
  ASSERT_TRUE(listener->Start().ok());
  EXPECT_EQ(listener->status().state, State::kWaiting);
  EXPECT_THAT(listener->status().detail, HasSubstr("server.key"));
  InstallCertificate("first");
  EXPECT_TRUE(Eventually([](const auto& status) { return status.state == State::kListening; }));
  MqttPeer peer;
  ASSERT_TRUE(peer.net.Connect(listener->port()));
  EXPECT_TRUE(peer.net.StartTls(Tls()));
}

TEST(MqttListenerOptionsTest, SaysWhatCanNeverWork) {
  const auto why = [](const std::function<void(MqttListenerOptions&)>& change) {
    MqttListenerOptions options;
    options.bind = "127.0.0.1:1883";
    options.password_file = "/etc/passwords";
    change(options);
    return std::string(CheckMqttListenerOptions(options).message());
  };
  EXPECT_EQ(why([](auto&) {}), "");
  EXPECT_EQ(why([](auto& o) { o.bind = "[::1]:1883"; }), "");
  EXPECT_EQ(why([](auto& o) { o.bind = "127.8.9.10:1883"; }), "");
  for (const char* open : {"0.0.0.0:1883", "192.168.1.2:1883", "[::]:1883", "[2001:db8::1]:1883", "[::ffff:127.0.0.1]:1883"}) {
    EXPECT_THAT(why([&](auto& o) { o.bind = open; }), HasSubstr("only loopback")) << open;
    EXPECT_EQ(why([&](auto& o) {
                o.bind = open;
                o.tls.certificate_file = "c";
                o.tls.key_file = "k";
              }),
              "");
  }
  for (const char* bad : {"", "1883", "localhost:1883", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:1883",
                          "[127.0.0.1]:1883", "127.0.0.1:-1", "127.0.0.1:1883x"}) {
    EXPECT_THAT(why([&](auto& o) { o.bind = bad; }), HasSubstr("<address>:<port>")) << bad;
  }
  EXPECT_THAT(why([](auto& o) { o.password_file = ""; }), HasSubstr("nobody comes in"));
  EXPECT_THAT(why([](auto& o) { o.tls.key_file = "k"; }), HasSubstr("go together"));
  EXPECT_THAT(why([](auto& o) { o.tls.client_ca_file = "c"; }), HasSubstr("need TLS"));
  EXPECT_THAT(why([](auto& o) { o.topics = {"tele/#"}; }), HasSubstr("{device}"));
}

TEST(MqttListenerOptionsTest, TopicsOfADeviceNameItOnceAsAWholeLevel) {
  for (const char* good : {"tele/{device}/#", "{device}", "shellies/{device}/#", "spBv1.0/group/+/{device}/#", "a/{device}/b/+"}) {
    EXPECT_TRUE(CheckDeviceTopics(good).ok()) << good;
  }
  for (const char* bad : {"", "tele/#", "#", "tele/x-{device}/#", "{device}/{device}", "{group}/{device}", "tele/{device}#",
                          "$SYS/{device}", "$share/g/{device}", "sluice/v1/{device}/x", "sluice/v1/+/{device}", "a/{dev"}) {
    EXPECT_FALSE(CheckDeviceTopics(bad).ok()) << bad;
  }
  const auto identity = IdentityOfDevice("vm-1", {"tele/{device}/#"}, 7);
  EXPECT_EQ(identity->credential, 7u);
  EXPECT_EQ(identity->device, "vm-1");
  EXPECT_THAT(identity->publish, testing::ElementsAre("sluice/v1/vm-1/#", "tele/vm-1/#"));
  EXPECT_EQ(identity->subscribe, identity->publish);
}

}  // namespace
}  // namespace sluice::transport
