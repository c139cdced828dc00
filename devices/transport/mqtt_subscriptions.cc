#include "devices/transport/mqtt_subscriptions.h"

#include <algorithm>
#include <utility>

#include "devices/transport/mqtt_topic.h"

namespace sluice::transport {

bool MqttSubscriptions::has(std::string_view filter) const {
  return std::any_of(subscriptions_.begin(), subscriptions_.end(), [&](const auto& it) { return it.filter == filter; });
}

void MqttSubscriptions::Set(Subscription subscription) {
  for (Subscription& it : subscriptions_) {
    if (it.filter != subscription.filter) continue;
    it = std::move(subscription);
    return;
  }
  subscriptions_.push_back(std::move(subscription));
}

bool MqttSubscriptions::Remove(std::string_view filter) {
  return std::erase_if(subscriptions_, [&](const auto& it) { return it.filter == filter; }) > 0;
}

void MqttSubscriptions::RemoveIf(absl::FunctionRef<bool(std::string_view filter)> ends) {
  std::erase_if(subscriptions_, [&](const auto& it) { return ends(it.filter); });
}

MqttSubscriptions::Match MqttSubscriptions::Find(std::string_view topic, bool own) const {
  Match match;
  for (const Subscription& it : subscriptions_) {
    if ((own && it.no_local) || !MqttMatches(it.filter, topic)) continue;
    match.matches = true;
    match.qos = std::max(match.qos, it.qos);
    match.retain_as_published |= it.retain_as_published;
    if (it.identifier != 0) match.identifiers.push_back(it.identifier);
  }
  return match;
}

}  // namespace sluice::transport
