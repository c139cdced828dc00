// Takes the fields off a control packet's body, one after the other, and says where one is wrong. The codec's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "devices/transport/mqtt_fault.h"
#include "devices/transport/mqtt_frame.h"
#include "devices/transport/mqtt_rule.h"

namespace sluice::transport {

// Every method returns false once something is wrong; *fault has the first such thing.
class MqttReader {
 public:
  MqttReader(const MqttFrame& frame, MqttLevel level, MqttFault* fault)
      : bytes_(frame.body), base_(frame.header_size), level_(level), packet_(MqttTypeName(frame.type)), fault_(fault) {}

  MqttLevel level() const { return level_; }
  void set_level(MqttLevel level) { level_ = level; }
  size_t left() const { return bytes_.size() - at_; }
  size_t offset() const { return base_ + at_; }   // within the packet

  bool Byte(const char* field, uint8_t* value, const MqttRule& missing = mqtt_rule::kTooShort);
  bool Two(const char* field, uint16_t* value, const MqttRule& missing = mqtt_rule::kTooShort);
  bool Four(const char* field, uint32_t* value);
  bool VariableLength(const char* field, uint32_t* value);
  // Length-prefixed bytes.
  bool Binary(const char* field, std::string_view* value, const MqttRule& missing = mqtt_rule::kTooShort);
  // Length-prefixed UTF-8.
  bool Text(const char* field, std::string_view* value, const MqttRule& not_utf8 = mqtt_rule::kNotUtf8,
            const MqttRule& missing = mqtt_rule::kTooShort);
  // 16 bits that must not be 0.
  bool PacketId(uint16_t* value, const MqttRule& zero);
  std::string_view Rest();
  bool AtEnd(const MqttRule& trailing = mqtt_rule::kTrailing);

  // The field that begins at `offset` breaks the rule. Returns false.
  bool Fail(const MqttRule& rule, const char* field, size_t offset);
  bool Fail(const MqttRule& rule, const char* field) { return Fail(rule, field, offset()); }

 private:
  const std::string_view bytes_;
  const size_t base_;
  MqttLevel level_;
  const char* const packet_;
  MqttFault* const fault_;
  size_t at_ = 0;
};

}  // namespace sluice::transport
