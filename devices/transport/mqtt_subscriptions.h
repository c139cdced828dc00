// A session's subscriptions and what of them a message matches. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"

namespace sluice::transport {

class MqttSubscriptions {
 public:
  struct Subscription {
    std::string filter;
    uint8_t qos = 0;
    bool no_local = false, retain_as_published = false;
    uint32_t identifier = 0;   // 0: none
  };
  // The subscriptions that match, taken together: one copy goes out (3.3.4), at the highest QoS, naming all of them.
  struct Match {
    bool matches = false;
    uint8_t qos = 0;
    bool retain_as_published = false;
    std::vector<uint32_t> identifiers;
  };

  bool has(std::string_view filter) const;
  size_t size() const { return subscriptions_.size(); }
  void Set(Subscription subscription);           // replaces the one with the same filter
  bool Remove(std::string_view filter);          // byte for byte; false: there was none
  void RemoveIf(absl::FunctionRef<bool(std::string_view filter)> ends);
  // `own`: the message was published by this session's client.
  Match Find(std::string_view topic, bool own) const;

 private:
  std::vector<Subscription> subscriptions_;      // few: looked through one by one
};

}  // namespace sluice::transport
