// The retained messages of one device (3.3.1.3), bounded. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "devices/transport/mqtt_kept.h"

namespace sluice::transport {

class MqttRetained {
 public:
  // Stores, replaces, or, with an empty payload, forgets the topic's message.
  void Set(std::shared_ptr<const MqttKept> message);
  void Remove(std::string_view topic);
  // The one that was set longest ago goes. False: there is none.
  bool RemoveOldest();
  // Those that match and are not over, in the order in which they were set. What is over is forgotten.
  std::vector<std::shared_ptr<const MqttKept>> Find(std::string_view filter, int64_t now_ms);

  size_t size() const { return messages_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::shared_ptr<const MqttKept> message;
    uint64_t set = 0;   // counts up
  };
  using Messages = std::map<std::string, Entry, std::less<>>;
  void Erase(Messages::iterator at);

  Messages messages_;   // by topic
  uint64_t sets_ = 0;
  size_t bytes_ = 0;
};

}  // namespace sluice::transport
