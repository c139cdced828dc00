// Packets made wrong, one byte or one length at a time: what must be refused is, and what is accepted means what it
// says. What must be refused is told here from the standards, independently of the codec.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/devices/transport/mqtt_describe.h"
#include "tests/devices/transport/mqtt_vectors.h"

namespace sluice::transport {
namespace {

// Whatever is accepted can be written, and says the same when it is read again.
void CheckAccepted(const std::string& bytes, MqttLevel level, MqttSender sender) {
  MqttPacket packet;
  const std::string words = DecodeInWords(bytes, level, sender, &packet);
  if (words[0] == '!') {
    EXPECT_EQ(words.substr(0, 4), "! 0x") << ToHex(bytes);
    return;
  }
  if (words[0] != '=') return;
  std::string again;
  ASSERT_GT(EncodeMqtt(packet, level, &again), 0u) << ToHex(bytes);
  ASSERT_EQ(DecodeInWords(again, level, sender), words) << ToHex(bytes);
}

// A good packet, taken apart by hand as far as it takes to know what must not stand where.
class Anatomy {
 public:
  explicit Anatomy(const MqttVector& vector)
      : bytes_(vector.bytes), client_(vector.sender == MqttSender::kClient), type_(At(0) >> 4), flags_(At(0) & 15) {
    body_ = 1;
    while (At(body_++) >= 0x80) continue;
    v5_ = type_ == kConnect ? At(body_ + 6) == 5 : vector.level == MqttLevel::k5;
    TakeApart();
  }

  // One byte other than it was.
  bool MustBeRefused(size_t at, uint8_t value) const {
    if (at == 0) return IsWrongHeader(value);
    if (at < body_) return false;
    const auto is = [&](const std::vector<size_t>& places) {
      return std::find(places.begin(), places.end(), at) != places.end();
    };
    if (packet_id_ != 0 && (at == packet_id_ || at == packet_id_ + 1))
      return value == 0 && At(2 * packet_id_ + 1 - at) == 0;
    if (is(text_)) return value == 0 || value == 0xc0 || value == 0xff;  // no UTF-8 has C0 or FF
    if (is(topic_)) return value == 0 || value == 0xc0 || value == 0xff || value == '+' || value == '#';
    if (is(options_)) return v5_ ? (value & 0xc0) != 0 || (value & 3) == 3 || (value & 0x30) == 0x30 : value > 2;
    if (is(reasons_)) return !Reasons().contains(value);
    if (type_ == kConnect && at < body_ + 6) return value != At(at);  // "MQTT"
    if (type_ == kConnect && at == body_ + 6) return value != 4 && value != 5;
    if (type_ == kConnect && at == body_ + 7) {
      const bool will = (value & 4) != 0;
      return (value & 1) != 0 || (value & 0x18) == 0x18 || (!will && (value & 0x38) != 0) ||
             (!v5_ && (value & 0xc0) == 0x40);
    }
    if (type_ == kConnack && at == body_) return (value & 0xfe) != 0;
    return false;
  }
  // The body cut to so many bytes, and the remaining length with it.
  bool MayEndAt(size_t length) const {
    return length + body_ == bytes_.size() || (tail_ != 0 && length >= tail_) || ends_.contains(length);
  }

 private:
  enum : int {
    kConnect = 1,
    kConnack = 2,
    kPublish = 3,
    kPuback = 4,
    kPubrec = 5,
    kPubrel = 6,
    kPubcomp = 7,
    kSubscribe = 8,
    kSuback = 9,
    kUnsubscribe = 10,
    kUnsuback = 11,
    kPingreq = 12,
    kPingresp = 13,
    kDisconnect = 14,
    kAuth = 15
  };

  uint8_t At(size_t at) const { return static_cast<uint8_t>(bytes_.at(at)); }
  size_t Two(size_t at) const { return static_cast<size_t>(At(at) << 8 | At(at + 1)); }
  // Behind the properties that begin there. All vectors have fewer than 128 bytes of them.
  size_t PastProperties(size_t at) const { return v5_ ? at + 1 + At(at) : at; }
  static void Put(size_t begin, size_t count, std::vector<size_t>* to) {
    for (size_t i = 0; i < count; ++i) to->push_back(begin + i);
  }

  void TakeApart() {
    size_t at = body_;
    switch (type_) {
      case kConnect: {
        const size_t client_id = PastProperties(body_ + 10);
        Put(client_id + 2, Two(client_id), &text_);
        return;
      }
      case kConnack:
        reasons_ = {body_ + 1};
        return;
      case kPublish:
        Put(at + 2, Two(at), &topic_);
        at += 2 + Two(at);
        if ((flags_ & 6) != 0) {
          packet_id_ = at;
          at += 2;
        }
        tail_ = PastProperties(at) - body_;  // then the payload
        return;
      case kPuback:
      case kPubrec:
      case kPubrel:
      case kPubcomp:
        packet_id_ = at;
        if (!v5_) return;
        ends_ = {2};
        if (bytes_.size() == at + 2) return;
        ends_.insert(3);
        reasons_ = {at + 2};
        return;
      case kSubscribe:
      case kUnsubscribe:
        packet_id_ = at;
        for (at = PastProperties(at + 2); at < bytes_.size();) {
          Put(at + 2, Two(at), &text_);
          at += 2 + Two(at);
          if (type_ == kSubscribe) options_.push_back(at++);
          ends_.insert(at - body_);
        }
        return;
      case kSuback:
      case kUnsuback:
        packet_id_ = at;
        if (type_ == kUnsuback && !v5_) return;
        at = PastProperties(at + 2);
        Put(at, bytes_.size() - at, &reasons_);
        tail_ = at - body_ + 1;
        return;
      case kDisconnect:
      case kAuth:
        if (!v5_) return;
        if (type_ == kDisconnect) ends_ = {0, 1};
        if (type_ == kAuth && !client_) ends_ = {0};  // success, which a client does not say
        if (bytes_.size() > at) reasons_ = {at};
        return;
      default:
        return;
    }
  }

  bool IsWrongHeader(uint8_t value) const {
    const int type = value >> 4, flags = value & 15;
    if (type == 0 || (type == kAuth && !v5_)) return true;
    if (type == kPublish) return (flags & 6) == 6 || ((flags & 6) == 0 && (flags & 8) != 0);
    if (flags != (type == kPubrel || type == kSubscribe || type == kUnsubscribe ? 2 : 0)) return true;
    const bool of_a_client = type == kConnect || type == kSubscribe || type == kUnsubscribe || type == kPingreq;
    const bool of_a_server = type == kConnack || type == kSuback || type == kUnsuback || type == kPingresp;
    return client_ ? of_a_server : of_a_client || (type == kDisconnect && !v5_);
  }

  // 5.0, 3.2.2.2, 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1, 3.9.3, 3.11.3, 3.14.2.1 and 3.15.2.1; 3.1.1, 3.2.2.3 and 3.9.3.
  std::set<int> Reasons() const {
    switch (type_) {
      case kConnack:
        if (!v5_) return {0, 1, 2, 3, 4, 5};
        return {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
                0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f};
      case kPuback:
      case kPubrec:
        return {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
      case kPubrel:
      case kPubcomp:
        return {0x00, 0x92};
      case kSuback:
        if (!v5_) return {0, 1, 2, 0x80};
        return {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2};
      case kUnsuback:
        return {0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91};
      case kDisconnect:
        if (client_) return {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99};
        return {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94,
                0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2};
      default:
        return client_ ? std::set<int>{0x18, 0x19} : std::set<int>{0x00, 0x18};
    }
  }

  const std::string& bytes_;
  const bool client_;
  const int type_, flags_;
  bool v5_ = false;
  size_t body_ = 0;        // where it begins
  size_t packet_id_ = 0;   // 0: there is none
  size_t tail_ = 0;        // from this length of the body on the end is free; 0: it is not
  std::set<size_t> ends_;  // lengths of the body at which it may end
  std::vector<size_t> text_, topic_, options_, reasons_;  // bytes of filters and client ids, of topics; options; codes
};

TEST(MqttMutationTest, EveryByteOfEveryPacketWrongInTurn) {
  for (const char* file : {"good.txt", "other_forms.txt", "malformed.txt"}) {
    for (const MqttVector& vector : ReadMqttVectors(file)) {
      SCOPED_TRACE(vector.name);
      for (size_t at = 0; at < vector.bytes.size(); ++at) {
        std::string bytes = vector.bytes;
        for (int value = 0; value < 256; ++value) {
          bytes[at] = static_cast<char>(value);
          CheckAccepted(bytes, vector.level, vector.sender);
        }
      }
    }
  }
}

TEST(MqttMutationTest, AByteThatMayNotStandThereIsRefused) {
  size_t refused = 0;
  for (const MqttVector& vector : ReadMqttVectors("good.txt")) {
    SCOPED_TRACE(vector.name);
    const Anatomy anatomy(vector);
    for (size_t at = 0; at < vector.bytes.size(); ++at) {
      std::string bytes = vector.bytes;
      EXPECT_FALSE(anatomy.MustBeRefused(at, static_cast<uint8_t>(bytes[at]))) << "this test is wrong at byte " << at;
      for (int value = 0; value < 256; ++value) {
        if (!anatomy.MustBeRefused(at, static_cast<uint8_t>(value))) continue;
        bytes[at] = static_cast<char>(value);
        EXPECT_EQ(DecodeInWords(bytes, vector.level, vector.sender)[0], '!') << "byte " << at << ": " << ToHex(bytes);
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 20'000u);
}

// The remaining length one and more too short, one and more too long, the body cut or filled up to it.
TEST(MqttMutationTest, EveryLengthOfEveryPacketWrongInTurn) {
  size_t refused = 0;
  for (const MqttVector& vector : ReadMqttVectors("good.txt")) {
    SCOPED_TRACE(vector.name);
    const Anatomy anatomy(vector);
    MqttFrame frame;
    size_t need = 0;
    MqttFault fault;
    ASSERT_EQ(FindMqttFrame(vector.bytes, vector.level, kMqttMaxPacket, &frame, &need, &fault), MqttFraming::kWhole);
    const bool list =
        frame.type == MqttType::kPublish || frame.type == MqttType::kSuback || frame.type == MqttType::kUnsuback;
    for (size_t length = 0; length < frame.body.size() + 8; ++length) {
      if (length == frame.body.size() || length > 127) continue;
      std::string bytes = {vector.bytes[0], static_cast<char>(length)};
      bytes += std::string(frame.body.substr(0, length));
      bytes.resize(2 + length, '\xfe');
      CheckAccepted(bytes, vector.level, vector.sender);
      // Too long is refused but where the end is free: a payload, or a list of codes. Too short likewise.
      const std::string words = DecodeInWords(bytes, vector.level, vector.sender);
      if (length > frame.body.size() ? !list : !anatomy.MayEndAt(length)) {
        EXPECT_EQ(words[0], '!') << length << ": " << ToHex(bytes) << " " << words;
        ++refused;
      } else if (length < frame.body.size()) {
        EXPECT_EQ(words[0], '=') << length << ": " << ToHex(bytes) << " " << words;
      }
    }
  }
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace sluice::transport
