#include "devices/native/listener_driver.h"

#include "tests/devices/native/listener_fixture.h"
#include "tests/fakes/fake_event_sink.h"

namespace sluice::native {
namespace {

using fakes::MqttPeer;
using testing::HasSubstr;
using testing::SizeIs;
using transport::MqttAck;
using transport::MqttLevel;
using transport::MqttProperty;
using transport::MqttPublish;
using transport::MqttReason;
using transport::MqttSuback;

class ListenerDriverTest : public ListenerSourceFixture {
 protected:
  fakes::FakeEventSink sink;   // goes after the source
  void TearDown() override { source.reset(); }
};

TEST_F(ListenerDriverTest, AcknowledgesAnEventOnceItIsSafe) {
  Start(sink);
  for (const MqttLevel level : {MqttLevel::k5, MqttLevel::k311}) {
    MqttPeer peer = Peer("vm-1", level);
    ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(static_cast<int>(level)), 9));
    ASSERT_TRUE(sink.WaitForUnsafe(1));
    EXPECT_TRUE(peer.Silent(50));
    EXPECT_EQ(Figure("withheld"), 1u);
    EXPECT_EQ(sink.MakeSafe(), 1u);
    EXPECT_EQ(peer.ExpectPuback(), 9);
  }
  const auto events = sink.events();
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[0].device_id(), "vm-1");
  EXPECT_EQ(events[0].sale().product_id(), "cola");
  EXPECT_EQ(sink.sources()[0], "listener:shop");
  EXPECT_EQ(sink.wheres()[0], "sluice/v1/vm-1/sale");
  const devices::DriverStatus status = source->Status();
  EXPECT_EQ(status.name, "listener:shop");
  EXPECT_EQ(status.events, 2u);
  EXPECT_EQ(status.promise, "PUBACK means that the event is on flash or in the cloud");
  EXPECT_THAT(status.troubles, SizeIs(0));
}

TEST_F(ListenerDriverTest, PromisesNothingWhenTheGatewayStopsFirst) {
  Start(sink);
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(1), 1));
  ASSERT_TRUE(sink.WaitForUnsafe(1));
  sink.MakeSafe(1, absl::UnavailableError("the journal is closed"));
  EXPECT_TRUE(peer.Expect<transport::MqttDisconnect>());
  EXPECT_TRUE(peer.net.ReceiveToEnd());
}

TEST_F(ListenerDriverTest, AnEventThatCannotBeReadIsRecordedAndToldToV5) {
  Start(sink);
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", "{\"boot\":1,\"seq\":4,\"product\":\"cola\",\"qantity\":2}", 1));
  auto ack = peer.Expect<MqttAck>();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->reason, MqttReason::kPayloadFormatInvalid);
  EXPECT_THAT(std::string(ack->properties.text(MqttProperty::kReasonString)), HasSubstr("qantity"));
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/no-such-kind", "{}", 2));
  ack = peer.Expect<MqttAck>();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->reason, MqttReason::kPayloadFormatInvalid);
  MqttPeer old = Peer("vm-1", MqttLevel::k311);
  ASSERT_TRUE(old.Publish("sluice/v1/vm-1/sale", "junk", 3));
  EXPECT_EQ(old.ExpectPuback(), 3);
  const auto rejections = sink.rejections();
  ASSERT_THAT(rejections, SizeIs(3));
  EXPECT_EQ(rejections[0].device_id, "vm-1");
  EXPECT_EQ(rejections[0].seq, 4u);
  EXPECT_TRUE(rejections[0].has_sequence);
  EXPECT_EQ(source->Status().rejected, 3u);
  EXPECT_THAT(sink.events(), SizeIs(0));
}

TEST_F(ListenerDriverTest, WhatTheGatewayRefusesIsToldWithItsReason) {
  Start(sink);
  sink.AnswerWith([](const event::v1::DeviceEvent& event) -> absl::Status {
    return event.sequence().seq() == 1 ? absl::PermissionDeniedError("gateway: gw-2 is another") :
                                         absl::InvalidArgumentError("too large");
  });
  MqttPeer peer = Peer("vm-1");
  for (const auto& [seq, reason] : {std::pair(1, MqttReason::kNotAuthorized), std::pair(2, MqttReason::kPayloadFormatInvalid)}) {
    ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(seq), static_cast<uint16_t>(seq)));
    const auto ack = peer.Expect<MqttAck>();
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->reason, reason);
  }
}

TEST_F(ListenerDriverTest, ATopicOfAnotherDeviceIsRefusedAndRecorded) {
  Start(sink);
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-2/sale", Sale(1), 1));
  const auto ack = peer.Expect<MqttAck>();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->reason, MqttReason::kNotAuthorized);
  ASSERT_THAT(sink.rejections(), SizeIs(1));
  EXPECT_EQ(sink.rejections()[0].device_id, "vm-1") << "who said it";
  EXPECT_EQ(sink.rejections()[0].where, "sluice/v1/vm-2/sale");
  EXPECT_EQ(Figure("refused_not_authorized"), 1u);
}

TEST_F(ListenerDriverTest, AWillTakesTheDeviceOffline) {
  Start(sink);
  sink.SafeAtOnce(true);
  {
    MqttPeer peer = Peer("vm-1", MqttLevel::k5, "{\"state\":\"offline\"}");
    peer.net.Reset();
  }
  ASSERT_TRUE(sink.WaitForEvents(1));
  EXPECT_EQ(sink.events()[0].status().state(), event::v1::Status::STATE_OFFLINE);
}

TEST_F(ListenerDriverTest, ARetainFlagDoesNotKeepAnEventFromBeingTaken) {
  Start(sink);
  sink.SafeAtOnce(true);
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(1), 1, 1, true));
  EXPECT_EQ(peer.ExpectPuback(), 1);
  EXPECT_THAT(sink.events(), SizeIs(1));
  EXPECT_EQ(sink.retained(), 0);
}

TEST_F(ListenerDriverTest, OtherTopicsAreKeptForTheDeviceAndAreNoEvents) {
  Start(sink);
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("tele/vm-1/LWT", "Online", 1, 1, true));
  EXPECT_EQ(peer.ExpectPuback(), 1);
  ASSERT_TRUE(peer.Subscribe("tele/vm-1/#", 2));
  ASSERT_TRUE(peer.Expect<MqttSuback>());
  const auto kept = peer.Expect<MqttPublish>();
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->payload, "Online");
  EXPECT_EQ(Figure("other_topics"), 1u);
  EXPECT_EQ(Figure("retained"), 1u);
  EXPECT_EQ(sink.accepts(), 0u);
  EXPECT_THAT(sink.rejections(), SizeIs(0));
}

TEST_F(ListenerDriverTest, QosZeroIsTakenWithoutPromiseAndCounted) {
  Start(sink);
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/telemetry", "{\"values\":{\"t\":4}}", 0, 0));
  ASSERT_TRUE(sink.WaitForEvents(1));
  EXPECT_TRUE(peer.Ping());
  EXPECT_EQ(Figure("at_qos0"), 1u);
}

TEST_F(ListenerDriverTest, QosTwoIsReceivedWhenItIsSafe) {
  Start(sink);
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(1), 1, 2));
  ASSERT_TRUE(sink.WaitForUnsafe(1));
  EXPECT_TRUE(peer.Silent(50));
  sink.MakeSafe();
  const auto received = peer.Expect<MqttAck>();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->type, transport::MqttType::kPubrec);
  MqttAck release;
  release.type = transport::MqttType::kPubrel;
  release.packet_id = 1;
  ASSERT_TRUE(peer.Send(release));
  const auto complete = peer.Expect<MqttAck>();
  ASSERT_TRUE(complete);
  EXPECT_EQ(complete->type, transport::MqttType::kPubcomp);
}

TEST_F(ListenerDriverTest, WithoutRoomItWithholdsUntilThereIsSome) {
  Start(sink);
  sink.SafeAtOnce(true);
  sink.AnswerWith([](const auto&) { return absl::ResourceExhaustedError("full"); });
  MqttPeer first = Peer("vm-1"), second = Peer("vm-2");
  for (int seq = 1; seq <= 10; ++seq) {
    ASSERT_TRUE(first.Publish("sluice/v1/vm-1/sale", Sale(seq), static_cast<uint16_t>(seq)));
    ASSERT_TRUE(second.Publish("sluice/v1/vm-2/sale", Sale(seq), static_cast<uint16_t>(seq)));
  }
  ASSERT_TRUE(Eventually([&] { return Figure("waiting_for_room") == 20; }));
  EXPECT_TRUE(first.Ping());
  const size_t offers = sink.accepts();
  ASSERT_TRUE(sink.WaitForRoomWanted());
  EXPECT_EQ(sink.TellOfRoom(), 1u) << "asked once for all";
  ASSERT_TRUE(sink.WaitForRoomWanted()) << "still full: asked again";
  EXPECT_LE(sink.accepts(), offers + 2) << "one try each, not one for each event";
  sink.AnswerWith(nullptr);
  sink.TellOfRoom();
  for (uint16_t seq = 1; seq <= 10; ++seq) {
    EXPECT_EQ(first.ExpectPuback(), seq);
    EXPECT_EQ(second.ExpectPuback(), seq);
  }
  int last = 0;
  for (const auto& event : sink.events()) {
    if (event.device_id() == "vm-1") {
      EXPECT_EQ(static_cast<int>(event.sequence().seq()), ++last);
    }
  }
  EXPECT_EQ(last, 10);
}

TEST_F(ListenerDriverTest, AStoreThatStaysFullIsATroubleUntilItIsNot) {
  Start(sink);
  sink.SafeAtOnce(true);
  sink.AnswerWith([](const auto&) { return absl::ResourceExhaustedError("full"); });
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(1), 1));
  ASSERT_TRUE(Eventually([&] { return !source->Status().troubles.empty(); }));
  EXPECT_EQ(source->Status().troubles[0].code, "store_full");
  sink.AnswerWith(nullptr);
  sink.TellOfRoom();
  EXPECT_EQ(peer.ExpectPuback(), 1);
  EXPECT_THAT(source->Status().troubles, SizeIs(0));
}

TEST_F(ListenerDriverTest, AStoreIsFullNoLongerThanThatThoughTheDeviceLeft) {
  Start(sink);
  sink.AnswerWith([](const auto&) { return absl::ResourceExhaustedError("full"); });
  {
    MqttPeer peer = Peer("vm-1");
    ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(1), 1));
    ASSERT_TRUE(Eventually([&] { return !source->Status().troubles.empty(); }));
    ASSERT_TRUE(peer.Send(transport::MqttDisconnect{}));
    ASSERT_TRUE(Eventually([&] { return Figure("connections") == 0; }));
  }
  const auto told_full = [&] {
    MqttPeer peer;
    EXPECT_TRUE(peer.net.Connect(port));
    const auto connack = peer.Connect({.client_id = "another", .user_name = "vm-2", .password = "secret"});
    EXPECT_TRUE(connack);
    return connack && !connack->properties.user().empty();
  };
  EXPECT_TRUE(told_full());
  EXPECT_EQ(sink.TellOfRoom(), 1u);   // the queues drained; nobody offers anything
  EXPECT_THAT(source->Status().troubles, SizeIs(0));
  EXPECT_FALSE(told_full());
}

TEST_F(ListenerDriverTest, ReceiptsGoToDevicesThatSubscribe) {
  Start(sink);
  ASSERT_NE(source->receipts(), nullptr);
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Subscribe("sluice/v1/vm-1/ack", 1));
  ASSERT_TRUE(peer.Expect<MqttSuback>());
  source->receipts()->SendReceipt({.device_id = "vm-2", .boot = 1, .ranges = {{1, 5}}});
  source->receipts()->SendReceipt({.device_id = "vm-1", .boot = 7, .ranges = {{1, 812}}});
  const auto receipt = peer.Expect<MqttPublish>();
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->topic, "sluice/v1/vm-1/ack");
  EXPECT_EQ(receipt->payload, "{\"boot\":7,\"ranges\":[[1,812]]}");
}

TEST_F(ListenerDriverTest, AMistypedTopicOfAnEventIsNotToldSuccess) {
  Start(sink);
  const std::vector<std::string> wrong = {"sluice/v1/vm-1/sale/x", "sluice/v1/vm-1", "sluice/v1/vm-1/", "sluice/v1/vm-1/ack"};
  MqttPeer peer = Peer("vm-1"), old = Peer("vm-1", MqttLevel::k311);
  for (size_t i = 0; i < wrong.size(); ++i) {
    ASSERT_TRUE(peer.Publish(wrong[i], Sale(1), 1));
    const auto ack = peer.Expect<MqttAck>();
    ASSERT_TRUE(ack) << wrong[i];
    EXPECT_EQ(ack->reason, MqttReason::kTopicNameInvalid) << wrong[i];
    EXPECT_THAT(std::string(ack->properties.text(MqttProperty::kReasonString)), HasSubstr("topic: ")) << wrong[i];
    ASSERT_TRUE(old.Publish(wrong[i], Sale(1), 2));
    EXPECT_EQ(old.ExpectPuback(), 2) << "it cannot be told";
    const auto rejections = sink.rejections();
    ASSERT_THAT(rejections, SizeIs(2 * (i + 1)));
    EXPECT_EQ(rejections.back().where, wrong[i]);
    EXPECT_EQ(rejections.back().device_id, "vm-1");
  }
  EXPECT_EQ(source->Status().rejected, 8u);
  EXPECT_EQ(Figure("other_topics"), 0u);
  EXPECT_EQ(sink.accepts(), 0u);
}

TEST_F(ListenerDriverTest, APatternOfTheConfigurationLetsNobodySpeakForAnother) {
  config.options.topics = {"+/+/+/{device}"};
  Start(sink);
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-2/vm-1", "{}", 1));
  const auto ack = peer.Expect<MqttAck>();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->reason, MqttReason::kNotAuthorized);
  EXPECT_THAT(sink.rejections(), SizeIs(1));
}

TEST_F(ListenerDriverTest, AWillThatIsLostIsCounted) {
  Start(sink);
  Peer("vm-1", MqttLevel::k5, "{\"state\":\"offline\"}").net.Reset();
  ASSERT_TRUE(sink.WaitForUnsafe(1));
  EXPECT_EQ(Figure("wills"), 1u);
  EXPECT_EQ(Figure("wills_lost"), 0u);
  sink.MakeSafe(1, absl::UnavailableError("the journal is closed"));
  EXPECT_EQ(Figure("wills_lost"), 1u);
  EXPECT_EQ(Figure("wills_dropped"), 0u);
}

TEST_F(ListenerDriverTest, AWillThatFindsNoPlaceToWaitIsCounted) {
  config.options.sessions.max_waiting_wills = 0;
  Start(sink);
  sink.AnswerWith([](const auto&) { return absl::ResourceExhaustedError("full"); });
  Peer("vm-1", MqttLevel::k5, "{\"state\":\"offline\"}").net.Reset();
  EXPECT_TRUE(Eventually([&] { return Figure("wills_dropped") == 1; }));
  EXPECT_EQ(Figure("wills"), 0u);
}

TEST_F(ListenerDriverTest, FilesThatCannotBeUsedAreATrouble) {
  config.options.look_every_ms = 10;
  Start(sink);
  ASSERT_TRUE(WriteFileAtomically(folder / "listener.passwd", "junk").ok());
  ASSERT_TRUE(Eventually([&] { return !source->Status().troubles.empty(); }));
  EXPECT_EQ(source->Status().troubles[0].code, "files");
  EXPECT_THAT(source->Status().troubles[0].text, HasSubstr("line 1"));
}

TEST_F(ListenerDriverTest, OptionsThatCanNeverWorkAreAnErrorAndAPortThatIsTakenIsNone) {
  Start(sink);
  auto second = MakeListenerSource(config, sink, clock, random);
  ASSERT_TRUE(second->Start().ok());
  EXPECT_EQ(second->Status().state, "waiting");
  ASSERT_THAT(second->Status().troubles, SizeIs(1));
  EXPECT_EQ(second->Status().troubles[0].code, "down");
  config.options.bind = "0.0.0.0:1883";
  EXPECT_TRUE(absl::IsInvalidArgument(MakeListenerSource(config, sink, clock, random)->Start()));
}

}  // namespace
}  // namespace sluice::native
