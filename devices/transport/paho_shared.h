// What Paho's threads and the client's own have in common, and Paho's answers to requests.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "devices/transport/mqtt.h"
#include "devices/transport/paho_outcome.h"

namespace mqtt {
class iaction_listener;
class message;
}  // namespace mqtt

namespace sluice::transport {

struct PahoOutgoing {
  std::string topic;
  std::string payload;
  int qos = 0;
  bool retain = false;
};

// Everything that Paho's threads may touch. They hold it by shared_ptr, so that it outlives whatever they still call.
struct PahoShared {
  MqttHandlers handlers;
  MqttAddress address;

  mutable std::mutex mu;
  std::condition_variable changed;
  // Guarded by mu, which is never held while Paho is called: Paho calls us with its own lock held.
  MqttStatus status;
  std::optional<PahoOutcome> outcome;   // of the request that the keeper waits for
  uint64_t request = 0;             // its number; later answers to earlier requests are nobody's
  bool lost = false;
  std::string lost_why;
  bool stopping = false;
  bool cut = false;                 // we cut this connection: nothing of it is taken any more
  int handling = 0;                 // handlers that run
  std::deque<PahoOutgoing> outgoing;
  uint64_t generation = 0;          // of the client
  int publishing = 0;               // publishes of this generation that Paho has and did not answer

  // Called by Paho, or by its answers below. None is called with mu held.
  void OnMessage(const mqtt::message& message, std::string_view topic);
  void OnLost(std::string why);
  void OnAnswer(uint64_t of_request, const PahoOutcome& what);
  void OnPublished(uint64_t of_generation);   // or given up
  // A publish came to its end, whichever.
  void CallPublished();
};

// For one request of the client, or one publish. Paho calls exactly one of a listener's methods exactly once, whereupon it
// deletes itself; whoever got an exception from Paho instead deletes it.
mqtt::iaction_listener* NewAnswer(std::shared_ptr<PahoShared> shared, uint64_t request);
mqtt::iaction_listener* NewPublished(std::shared_ptr<PahoShared> shared, uint64_t generation);

}  // namespace sluice::transport
