#include "devices/transport/mqtt_reader.h"

#include "devices/transport/mqtt_topic.h"

namespace sluice::transport {

bool MqttReader::Fail(const MqttRule& rule, const char* field, size_t offset) {
  *fault_ = Broken(rule, level_, packet_, field, offset);
  return false;
}

bool MqttReader::Byte(const char* field, uint8_t* value, const MqttRule& missing) {
  if (left() < 1) return Fail(missing, field);
  *value = static_cast<uint8_t>(bytes_[at_++]);
  return true;
}

bool MqttReader::Two(const char* field, uint16_t* value, const MqttRule& missing) {
  if (left() < 2) return Fail(missing, field);
  *value = static_cast<uint16_t>(static_cast<uint8_t>(bytes_[at_]) << 8 | static_cast<uint8_t>(bytes_[at_ + 1]));
  at_ += 2;
  return true;
}

bool MqttReader::Four(const char* field, uint32_t* value) {
  if (left() < 4) return Fail(mqtt_rule::kTooShort, field);
  *value = 0;
  for (int i = 0; i < 4; ++i) *value = *value << 8 | static_cast<uint8_t>(bytes_[at_++]);
  return true;
}

bool MqttReader::VariableLength(const char* field, uint32_t* value) {
  const size_t begin = offset();
  *value = 0;
  for (unsigned shift = 0;; shift += 7) {
    if (left() == 0) return Fail(mqtt_rule::kTooShort, field, begin);
    const auto byte = static_cast<uint8_t>(bytes_[at_++]);
    *value |= static_cast<uint32_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) {
      return byte != 0 || shift == 0 || Fail(mqtt_rule::kLengthNotShortest, field, begin);
    }
    if (shift == 21) return Fail(mqtt_rule::kLengthTooLong, field, begin);
  }
}

bool MqttReader::Binary(const char* field, std::string_view* value, const MqttRule& missing) {
  const size_t begin = offset();
  uint16_t length = 0;
  if (!Two(field, &length, missing)) return false;
  if (left() < length) return Fail(missing, field, begin);
  *value = bytes_.substr(at_, length);
  at_ += length;
  return true;
}

bool MqttReader::Text(const char* field, std::string_view* value, const MqttRule& not_utf8, const MqttRule& missing) {
  const size_t begin = offset();
  if (!Binary(field, value, missing)) return false;
  switch (CheckMqttText(*value)) {
    case MqttText::kGood: return true;
    case MqttText::kNotUtf8: return Fail(not_utf8, field, begin);
    case MqttText::kNul: break;
  }
  return Fail(mqtt_rule::kNul, field, begin);
}

bool MqttReader::PacketId(uint16_t* value, const MqttRule& zero) {
  const size_t begin = offset();
  return Two("packet identifier", value) && (*value != 0 || Fail(zero, "packet identifier", begin));
}

std::string_view MqttReader::Rest() {
  const std::string_view rest = bytes_.substr(at_);
  at_ = bytes_.size();
  return rest;
}

bool MqttReader::AtEnd(const MqttRule& trailing) { return left() == 0 || Fail(trailing, "end"); }

}  // namespace sluice::transport
