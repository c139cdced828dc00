#include "devices/transport/mqtt_packet.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/devices/transport/mqtt_describe.h"
#include "tests/devices/transport/mqtt_vectors.h"

namespace sluice::transport {
namespace {

std::vector<MqttVector> All() {
  std::vector<MqttVector> all;
  for (const char* file : {"good.txt", "other_forms.txt", "malformed.txt"}) {
    for (MqttVector& vector : ReadMqttVectors(file)) all.push_back(std::move(vector));
  }
  return all;
}

TEST(MqttPacketTest, GoodPacketsSayWhatTheySayAndAreWrittenAsTheyWere) {
  const auto vectors = ReadMqttVectors("good.txt");
  EXPECT_GT(vectors.size(), 60u);
  std::set<MqttType> types;
  for (const MqttVector& vector : vectors) {
    SCOPED_TRACE(vector.name);
    MqttPacket packet;
    EXPECT_EQ(DecodeInWords(vector.bytes, vector.level, vector.sender, &packet), vector.expected);
    std::string again = "before";
    const size_t size = EncodeMqtt(packet, vector.level, &again);
    EXPECT_EQ(ToHex(again), ToHex("before" + vector.bytes));
    EXPECT_EQ(size, vector.bytes.size());
    types.insert(static_cast<MqttType>(static_cast<uint8_t>(vector.bytes[0]) >> 4));
  }
  EXPECT_EQ(types.size(), 15u);
}

TEST(MqttPacketTest, OtherFormsSayTheSame) {
  for (const MqttVector& vector : ReadMqttVectors("other_forms.txt")) {
    SCOPED_TRACE(vector.name);
    EXPECT_EQ(DecodeInWords(vector.bytes, vector.level, vector.sender), vector.expected);
  }
}

TEST(MqttPacketTest, MalformedPacketsAreRefusedByNameAndPlace) {
  const auto vectors = ReadMqttVectors("malformed.txt");
  EXPECT_GT(vectors.size(), 200u);
  for (const MqttVector& vector : vectors) {
    SCOPED_TRACE(vector.name);
    EXPECT_EQ(DecodeInWords(vector.bytes, vector.level, vector.sender), vector.expected);
  }
}

TEST(MqttPacketTest, SplitAnywhereTheyGiveTheSame) {
  for (const MqttVector& vector : All()) {
    SCOPED_TRACE(vector.name);
    const std::string whole = DecodeInWords(vector.bytes, vector.level, vector.sender);
    for (size_t split = 0; split < vector.bytes.size(); ++split) {
      const std::string part = DecodeInWords(std::string_view(vector.bytes).substr(0, split), vector.level, vector.sender);
      // Either nothing can be said yet, or it is what the whole says: no fault before its time, and none that changes.
      if (part != "more") {
        EXPECT_EQ(part, whole) << "after " << split << " bytes";
      }
      if (whole[0] == '=') {
        EXPECT_EQ(part, "more") << "after " << split << " bytes";
      }
    }
  }
}

TEST(MqttPacketTest, AnyPacketMayFollow) {
  for (const MqttVector& vector : ReadMqttVectors("good.txt")) {
    SCOPED_TRACE(vector.name);
    EXPECT_EQ(DecodeInWords(vector.bytes + std::string("\xff\x00\x30", 3), vector.level, vector.sender), vector.expected);
  }
}

TEST(MqttPacketTest, WrittenPacketsHaveLimits) {
  std::string out = "x";
  MqttPublish publish;
  const std::string topic(65'536, 't');
  publish.topic = topic;
  EXPECT_EQ(EncodeMqtt(publish, MqttLevel::k5, &out), 0u);
  EXPECT_EQ(out, "x");
  publish.topic = std::string_view(topic).substr(1);
  EXPECT_EQ(EncodeMqtt(publish, MqttLevel::k5, &out), 1u + 3 + 2 + 65'535 + 1);
  EXPECT_EQ(ToHex(out.substr(1, 4)), "30828004");
}

TEST(MqttPacketTest, TheLargestPacketIsAwaitedAndNoLargerOneIsWritten) {
  const std::string header = FromHex("30ffffff7f");
  MqttFrame frame;
  MqttFault fault;
  size_t need = 0;
  EXPECT_EQ(FindMqttFrame(header, MqttLevel::k5, kMqttMaxPacket, &frame, &need, &fault), MqttFraming::kMore);
  EXPECT_EQ(need, kMqttMaxPacket);
  EXPECT_EQ(FindMqttFrame(header, MqttLevel::k5, kMqttMaxPacket - 1, &frame, &need, &fault), MqttFraming::kFault);
  EXPECT_EQ(Describe(fault), "0x95 @1 remaining length [MQTT-3.2.2-15]");
  const std::string payload(kMqttMaxPacket, 'p');
  MqttPublish publish;
  publish.topic = "t";
  publish.payload = payload;
  std::string none;
  EXPECT_EQ(EncodeMqtt(publish, MqttLevel::k311, &none), 0u);
  EXPECT_EQ(none, "");
}

TEST(MqttPacketTest, AStructIsReadIntoAgainWithoutRemnants) {
  MqttPacket packet;
  for (int round = 0; round < 2; ++round) {
    for (const MqttVector& vector : ReadMqttVectors("good.txt")) {
      EXPECT_EQ(DecodeInWords(vector.bytes, vector.level, vector.sender, &packet), vector.expected) << vector.name;
    }
  }
}

TEST(MqttPacketTest, PropertiesKeepNoMoreMemoryThanIsUsual) {
  MqttProperties properties;
  for (int i = 0; i < 20; ++i) properties.AddUser("a", "b");
  properties.clear();
  EXPECT_GE(properties.user().capacity(), 20u);   // to be used again
  for (int i = 0; i < 10'000; ++i) properties.AddUser("a", "b");
  properties.clear();
  EXPECT_LT(properties.user().capacity(), 100u);
}

TEST(MqttPacketTest, AFaultTellsWhatIsWrong) {
  MqttFault fault{MqttReason::kMalformedPacket, "MQTT-3.3.2-2", "PUBLISH", "topic name", "contains a wildcard", 2};
  EXPECT_EQ(fault.Text(), "PUBLISH, byte 2, topic name: contains a wildcard [MQTT-3.3.2-2]");
  EXPECT_TRUE(fault);
  EXPECT_FALSE(MqttFault());
}

}  // namespace
}  // namespace sluice::transport
