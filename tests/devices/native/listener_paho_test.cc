// Eclipse Paho's C++ client against the listener source, in one process: acknowledgements are withheld for as long as a test
// wants, which no foreign program allows.
#include <mqtt/async_client.h>

#include <string>
#include <vector>

#include "tests/devices/native/listener_fixture.h"
#include "tests/fakes/fake_event_sink.h"

namespace sluice::native {
namespace {

using testing::SizeIs;

constexpr auto kPatience = std::chrono::seconds(20);

struct Variant {
  int version;   // MQTTVERSION_3_1_1, MQTTVERSION_5
  int qos;
};

class ListenerPahoTest : public ListenerSourceFixture, public testing::WithParamInterface<Variant> {
 protected:
  ~ListenerPahoTest() override { source.reset(); }

  std::unique_ptr<mqtt::async_client> Client() {
    return std::make_unique<mqtt::async_client>(StrCat("tcp://127.0.0.1:", port), "till",
                                                mqtt::create_options(GetParam().version, 1000));
  }
  mqtt::connect_options Options(bool clean, int max_inflight = 65'000) const {
    mqtt::connect_options options("vm-1", "secret");
    options.set_mqtt_version(GetParam().version);
    options.set_max_inflight(max_inflight);
    if (GetParam().version == MQTTVERSION_5) {
      options.set_clean_start(clean);
      options.set_properties({{mqtt::property::SESSION_EXPIRY_INTERVAL, clean ? 0 : 3600}});
    } else {
      options.set_clean_session(clean);
    }
    return options;
  }
  // Whether a session was there.
  static bool Connect(mqtt::async_client& client, const mqtt::connect_options& options) {
    const mqtt::token_ptr token = client.connect(options);
    EXPECT_TRUE(token->wait_for(kPatience)) << "no CONNACK";
    return token->get_connect_response().is_session_present();
  }
  static void Disconnect(mqtt::async_client& client) { EXPECT_TRUE(client.disconnect(0)->wait_for(kPatience)); }

  std::vector<mqtt::delivery_token_ptr> Publish(mqtt::async_client& client, int first, int last) const {
    std::vector<mqtt::delivery_token_ptr> tokens;
    for (int seq = first; seq <= last; ++seq) {
      tokens.push_back(client.publish(mqtt::make_message("sluice/v1/vm-1/sale", Sale(seq), GetParam().qos, false)));
    }
    return tokens;
  }
  static size_t Completed(const std::vector<mqtt::delivery_token_ptr>& tokens) {
    return static_cast<size_t>(std::count_if(tokens.begin(), tokens.end(), [](const auto& t) { return t->is_complete(); }));
  }
  bool AllComplete(const std::vector<mqtt::delivery_token_ptr>& tokens) const {
    return Eventually([&] { return Completed(tokens) == tokens.size(); });
  }
  std::vector<uint64_t> Numbers() const {
    std::vector<uint64_t> numbers;
    for (const auto& event : sink.events()) numbers.push_back(event.sequence().seq());
    return numbers;
  }
  static std::vector<uint64_t> UpTo(uint64_t last) {
    std::vector<uint64_t> numbers;
    for (uint64_t seq = 1; seq <= last; ++seq) numbers.push_back(seq);
    return numbers;
  }

  fakes::FakeEventSink sink;
};

TEST_P(ListenerPahoTest, IsToldOfNothingBeforeItIsSafe) {
  Start(sink);
  const auto client = Client();
  Connect(*client, Options(true));
  const auto tokens = Publish(*client, 1, 100);
  ASSERT_TRUE(sink.WaitForUnsafe(100));
  EXPECT_EQ(Completed(tokens), 0u);
  sink.MakeSafe(40);
  EXPECT_TRUE(Eventually([&] { return Completed(tokens) == 40; }));
  EXPECT_EQ(Figure("withheld"), 60u);
  sink.MakeSafe();
  EXPECT_TRUE(AllComplete(tokens));
  EXPECT_EQ(Numbers(), UpTo(100));
  Disconnect(*client);
}

TEST_P(ListenerPahoTest, ASessionIsResumedAndWhatIsRepeatedIsTakenOnce) {
  Start(sink);
  const auto client = Client();
  EXPECT_FALSE(Connect(*client, Options(false)));
  const auto tokens = Publish(*client, 1, 20);
  ASSERT_TRUE(sink.WaitForUnsafe(20));
  Disconnect(*client);
  ASSERT_TRUE(Eventually([&] { return Figure("connections") == 0; }));
  sink.MakeSafe(10);   // while nobody is there to hear it
  EXPECT_TRUE(Connect(*client, Options(false)));
  EXPECT_TRUE(Eventually([&] { return Figure("repeated") == 20; })) << Figure("repeated");
  sink.MakeSafe();
  EXPECT_TRUE(Eventually([&] { return Figure("withheld") == 0 && client->get_pending_delivery_tokens().empty(); }))
      << client->get_pending_delivery_tokens().size();
  EXPECT_EQ(Numbers(), UpTo(20));
  // The session's packet ids are free again.
  const auto more = Publish(*client, 21, 120);
  ASSERT_TRUE(sink.WaitForUnsafe(100));
  sink.MakeSafe();
  EXPECT_TRUE(AllComplete(more));
  EXPECT_EQ(Numbers(), UpTo(120));
  EXPECT_EQ(Figure("resumed"), 1u);
  Disconnect(*client);
}

TEST_P(ListenerPahoTest, NoMoreIsUnderWayThanTheReceiveMaximum) {
  config.options.sessions.receive_maximum = 10;
  Start(sink);
  const auto client = Client();
  Connect(*client, Options(true));
  const auto tokens = Publish(*client, 1, 50);
  // At 5.0 Paho itself keeps to it, and looks once a second whether its full window has room again.
  for (size_t round = 1; round <= 5; ++round) {
    ASSERT_TRUE(sink.WaitForUnsafe(10)) << round;
    EXPECT_EQ(Figure("withheld"), 10u);
    EXPECT_EQ(sink.events().size(), 10 * round);
    EXPECT_EQ(sink.MakeSafe(), 10u);
  }
  EXPECT_TRUE(AllComplete(tokens));
  EXPECT_EQ(Numbers(), UpTo(50));
  EXPECT_TRUE(client->is_connected());
  Disconnect(*client);
}

TEST_P(ListenerPahoTest, ReceiptsComeToWhoSubscribed) {
  Start(sink);
  const auto client = Client();
  client->start_consuming();
  Connect(*client, Options(true));
  const mqtt::token_ptr subscribed = client->subscribe("sluice/v1/vm-1/ack", GetParam().qos);
  ASSERT_TRUE(subscribed->wait_for(kPatience));
  source->receipts()->SendReceipt({.device_id = "vm-2", .boot = 1, .ranges = {{1, 3}}});
  source->receipts()->SendReceipt({.device_id = "vm-1", .boot = 1, .ranges = {{1, 20}}});
  mqtt::const_message_ptr message;
  ASSERT_TRUE(client->try_consume_message_for(&message, kPatience));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->get_topic(), "sluice/v1/vm-1/ack");
  EXPECT_EQ(message->to_string(), "{\"boot\":1,\"ranges\":[[1,20]]}");
  EXPECT_EQ(message->get_qos(), 1);   // asked for 2: granted 1
  Disconnect(*client);
}

TEST_P(ListenerPahoTest, ARefusedEventIsAnsweredAndTheNextIsTaken) {
  Start(sink);
  const auto client = Client();
  Connect(*client, Options(true));
  const auto refused = client->publish(mqtt::make_message("sluice/v1/vm-1/sale", "junk", GetParam().qos, false));
  EXPECT_TRUE(Eventually([&] { return refused->is_complete(); }));
  if (GetParam().version == MQTTVERSION_5) {
    EXPECT_EQ(refused->get_reason_code(), mqtt::ReasonCode::PAYLOAD_FORMAT_INVALID);
  }
  const auto tokens = Publish(*client, 1, 1);
  ASSERT_TRUE(sink.WaitForUnsafe(1));
  sink.MakeSafe();
  EXPECT_TRUE(AllComplete(tokens));
  EXPECT_THAT(sink.rejections(), SizeIs(1));
  Disconnect(*client);
}

INSTANTIATE_TEST_SUITE_P(Versions, ListenerPahoTest,
                         testing::Values(Variant{MQTTVERSION_3_1_1, 1}, Variant{MQTTVERSION_3_1_1, 2}, Variant{MQTTVERSION_5, 1},
                                         Variant{MQTTVERSION_5, 2}),
                         [](const auto& variant) {
                           return StrCat(variant.param.version == MQTTVERSION_5 ? "V5" : "V311", "Qos", variant.param.qos);
                         });

}  // namespace
}  // namespace sluice::native
