#include "devices/transport/mqtt_retained.h"

#include <algorithm>
#include <utility>

#include "devices/transport/mqtt_topic.h"

namespace sluice::transport {

void MqttRetained::Erase(Messages::iterator at) {
  bytes_ -= at->second.message->bytes();
  messages_.erase(at);
}

void MqttRetained::Remove(std::string_view topic) {
  const auto at = messages_.find(topic);
  if (at != messages_.end()) Erase(at);
}

void MqttRetained::Set(std::shared_ptr<const MqttKept> message) {
  const std::string_view topic = message->publish().topic;
  Remove(topic);
  if (message->publish().payload.empty()) return;
  bytes_ += message->bytes();
  messages_.emplace(std::string(topic), Entry{std::move(message), ++sets_});
}

bool MqttRetained::RemoveOldest() {
  if (messages_.empty()) return false;
  Erase(std::min_element(messages_.begin(), messages_.end(),
                         [](const auto& a, const auto& b) { return a.second.set < b.second.set; }));
  return true;
}

std::vector<std::shared_ptr<const MqttKept>> MqttRetained::Find(std::string_view filter, int64_t now_ms) {
  std::vector<Entry> found;
  for (auto at = messages_.begin(); at != messages_.end();) {
    const auto next = std::next(at);
    if (at->second.message->expired(now_ms)) {
      Erase(at);
    } else if (MqttMatches(filter, at->first)) {
      found.push_back(at->second);
    }
    at = next;
  }
  std::sort(found.begin(), found.end(), [](const Entry& a, const Entry& b) { return a.set < b.set; });
  std::vector<std::shared_ptr<const MqttKept>> messages;
  for (Entry& entry : found) messages.push_back(std::move(entry.message));
  return messages;
}

}  // namespace sluice::transport
