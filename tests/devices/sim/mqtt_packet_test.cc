// The simulator's packets against bytes worked out by hand from MQTT 3.1.1 and 5.0.
#include "devices/sim/mqtt_packet.h"

#include <gtest/gtest.h>

namespace sluice::sim {
namespace {

using namespace std::string_view_literals;
using Type = ServerPacket::Type;

TEST(MqttPacketTest, ConnectOf5HasWillUserPasswordAndSessionExpiry) {
  std::string out;
  AppendConnect({.version = MqttVersion::k5, .client_id = "d", .user = "u", .password = "p", .clean = false,
                 .session_expiry_s = 3600, .keepalive_s = 30, .will_topic = "w", .will_payload = "off"},
                out);
  EXPECT_EQ(out, "\x10\x22\0\x04MQTT\x05\xCC\0\x1E"
                 "\x05\x11\0\0\x0E\x10"
                 "\0\x01" "d" "\0" "\0\x01" "w" "\0\x03" "off" "\0\x01u" "\0\x01p"sv);
}

TEST(MqttPacketTest, ConnectOf311HasNoProperties) {
  std::string out;
  AppendConnect({.version = MqttVersion::k311, .client_id = "dev", .clean = true, .keepalive_s = 10}, out);
  EXPECT_EQ(out, "\x10\x0F\0\x04MQTT\x04\x02\0\x0A\0\x03" "dev"sv);
}

TEST(MqttPacketTest, PublishIsQos1AndSaysDupWhenItComesAgain) {
  std::string out;
  AppendPublish(MqttVersion::k5, 258, false, "a/b", "{}", out);
  EXPECT_EQ(out, "\x32\x0A\0\x03" "a/b" "\x01\x02\0{}"sv);
  out.clear();
  AppendPublish(MqttVersion::k311, 7, true, "a/b", "{}", out);
  EXPECT_EQ(out, "\x3A\x09\0\x03" "a/b" "\0\x07{}"sv);
}

TEST(MqttPacketTest, ALongPublishHasALengthOfTwoBytes) {
  std::string out;
  AppendPublish(MqttVersion::k311, 1, false, "t", std::string(200, 'x'), out);
  EXPECT_EQ(out.substr(0, 3), "\x32\xCD\x01"sv);  // 205 = 0x4D + 1 × 128
}

TEST(MqttPacketTest, SmallOnes) {
  std::string out;
  AppendSubscribe(MqttVersion::k5, 1, "t", out);
  AppendSubscribe(MqttVersion::k311, 1, "t", out);
  AppendPuback(2, out);
  AppendPingreq(out);
  AppendDisconnectWithWill(out);
  EXPECT_EQ(out, "\x82\x07\0\x01\0\0\x01t\x01"
                 "\x82\x06\0\x01\0\x01t\x01"
                 "\x40\x02\0\x02"
                 "\xC0\0"
                 "\xE0\x07\x04\x05\x11\0\0\0\0"sv);
}

ServerPacket Parse(MqttVersion version, std::string_view bytes) {
  ServerPacket packet;
  const auto taken = ParseServerPacket(version, bytes, packet);
  EXPECT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken.value_or(0), bytes.size());
  return packet;
}

TEST(MqttPacketTest, ConnackTellsSessionReceiveMaximumAndKeepAlive) {
  const ServerPacket five = Parse(MqttVersion::k5, "\x20\x0B\x01\0\x08\x21\x01\0\x13\0\x05\x24\x01"sv);
  EXPECT_EQ(five.type, Type::kConnack);
  EXPECT_TRUE(five.session_present);
  EXPECT_EQ(five.receive_maximum, 256);
  EXPECT_EQ(five.server_keepalive_s, 5);
  const ServerPacket old = Parse(MqttVersion::k311, "\x20\x02\0\x05"sv);
  EXPECT_FALSE(old.session_present);
  EXPECT_EQ(old.receive_maximum, 65535);
  EXPECT_EQ(MqttReasonText(MqttVersion::k311, old), "not authorised");
}

TEST(MqttPacketTest, PubackWithAndWithoutReason) {
  EXPECT_EQ(Parse(MqttVersion::k5, "\x40\x02\x01\x02"sv).id, 258);
  const ServerPacket refused = Parse(MqttVersion::k5, "\x40\x09\0\x01\x99\x05\x1F\0\x02no"sv);
  EXPECT_EQ(refused.reason, 0x99);
  EXPECT_EQ(MqttReasonText(MqttVersion::k5, refused), "payload format invalid (0x99): no");
}

TEST(MqttPacketTest, AReceiptComesAsAPublish) {
  const ServerPacket packet = Parse(MqttVersion::k5, "\x32\x09\0\x01t\0\x09\x02\x01\x01{}"sv.substr(0, 11));
  EXPECT_EQ(packet.type, Type::kPublish);
  EXPECT_EQ(packet.qos, 1);
  EXPECT_EQ(packet.id, 9);
  EXPECT_EQ(packet.topic, "t");
  EXPECT_EQ(packet.payload, "{");
}

TEST(MqttPacketTest, WaitsForTheRestOfAPacket) {
  const std::string_view whole = "\x40\x02\0\x07\xD0"sv;
  ServerPacket packet;
  for (size_t size = 0; size < 4; ++size) {
    EXPECT_EQ(ParseServerPacket(MqttVersion::k5, whole.substr(0, size), packet).value(), 0u) << size;
  }
  EXPECT_EQ(ParseServerPacket(MqttVersion::k5, whole, packet).value(), 4u);
  EXPECT_EQ(packet.id, 7);
}

TEST(MqttPacketTest, RefusesWhatNoServerMaySend) {
  ServerPacket packet;
  for (const std::string_view bytes : {
           "\x10\x02\0\0"sv,                    // CONNECT
           "\x20\x01\0"sv,                      // CONNACK without code
           "\x40\x04\0\x01\0\x05"sv,            // PUBACK whose properties end early
           "\x40\x06\0\x01\0\x02\x7E\0"sv,      // an unknown property
           "\x34\x06\0\x01t\0\x01\0"sv,         // QoS 2
           "\x40\x80\x80\x80\x80\x01"sv,        // a length of five bytes
           "\xD0\x01\0"sv,                      // PINGRESP with a body
       }) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseServerPacket(MqttVersion::k5, bytes, packet).status()));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(ParseServerPacket(MqttVersion::k311, "\xE0\0"sv, packet).status()));
}

}  // namespace
}  // namespace sluice::sim
