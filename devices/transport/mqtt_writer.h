// Appends a control packet's fields to a string. The codec's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "devices/transport/mqtt_frame.h"

namespace sluice::transport {

class MqttWriter {
 public:
  MqttWriter(MqttType type, uint8_t flags, std::string* out) : out_(out), start_(out->size()) {
    out_->push_back(static_cast<char>(static_cast<uint8_t>(type) << 4 | flags));
    out_->push_back(0);   // most packets need one byte for their length
  }

  void Byte(uint8_t value) { out_->push_back(static_cast<char>(value)); }
  void Two(uint16_t value) {
    Byte(static_cast<uint8_t>(value >> 8));
    Byte(static_cast<uint8_t>(value));
  }
  void Four(uint32_t value) {
    Two(static_cast<uint16_t>(value >> 16));
    Two(static_cast<uint16_t>(value));
  }
  void VariableLength(uint32_t value) { Insert(out_->size(), value); }
  void Binary(std::string_view value) {
    if (value.size() > 65'535) fits_ = false;
    Two(static_cast<uint16_t>(value.size()));
    Raw(value);
  }
  void Raw(std::string_view value) {
    if (out_->size() - start_ + value.size() > kMqttMaxPacket) {
      fits_ = false;
    } else {
      out_->append(value);
    }
  }

  // A length is to stand before what is written from here on.
  size_t Mark() const { return out_->size(); }
  void Close(size_t mark) { Insert(mark, static_cast<uint32_t>(out_->size() - mark)); }

  // Writes the remaining length. How many bytes the packet takes; 0, and nothing is appended, where it cannot be.
  size_t Finish() {
    const size_t remaining = out_->size() - start_ - 2;
    if (!fits_ || remaining > kMqttMaxRemaining) {
      out_->resize(start_);
      return 0;
    }
    char bytes[5];
    const size_t count = Split(static_cast<uint32_t>(remaining), bytes);
    if (count > 1) out_->insert(start_ + 2, count - 1, '\0');
    out_->replace(start_ + 1, count, bytes, count);
    return out_->size() - start_;
  }

 private:
  static size_t Split(uint32_t value, char bytes[5]) {
    size_t count = 0;
    do {
      bytes[count++] = static_cast<char>((value & 0x7F) | (value > 0x7F ? 0x80 : 0));
      value >>= 7;
    } while (value > 0);
    return count;
  }
  void Insert(size_t at, uint32_t value) {
    char bytes[5];
    out_->insert(at, bytes, Split(value, bytes));
  }

  std::string* const out_;
  const size_t start_;
  bool fits_ = true;
};

}  // namespace sluice::transport
